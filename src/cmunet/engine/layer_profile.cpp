// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/layer_profile.h"

#include <algorithm>
#include <chrono>

#include "cmunet/base/error.h"
#include "cmunet/base/random.h"
#include "cmunet/engine/native_unet.h"

namespace cmunet::engine {

std::vector<LayerTime> profile_layers(const UNetWeights& weights, int size, int repeat, int threads) {
  CMUNET_CHECK(size > 0 && repeat > 0, ErrorCode::kInvalidArgument, "[profile_layers] a side of ", size, " px, ",
               repeat, " runs: both must be positive");
  kernels::ThreadPool pool(threads);
  NativeUNet unet(weights, pool);
  const std::size_t side = padded_side(static_cast<std::size_t>(size));
  std::vector<float> grey(side * side), probability(side * side);
  Rng rng(1);
  for (float& value : grey) value = static_cast<float>(rng.normal());
  unet.forward(grey.data(), side, side, probability.data());

  using Clock = std::chrono::steady_clock;
  std::vector<LayerTime> layers;
  std::vector<std::vector<double>> times;  // of each layer
  for (int i = 0; i < repeat; ++i) {
    std::size_t layer = 0;
    Clock::time_point start = Clock::now();
    unet.forward(grey.data(), side, side, probability.data(), [&](const std::string& name, std::size_t products) {
      const Clock::time_point now = Clock::now();
      if (i == 0) {
        layers.push_back({.name = name, .gflop = 2e-9 * static_cast<double>(products)});
        times.emplace_back();
      }
      times[layer++].push_back(std::chrono::duration<double, std::milli>(now - start).count());
      start = Clock::now();
    });
  }
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const auto middle = times[l].begin() + static_cast<std::ptrdiff_t>(times[l].size() / 2);
    std::nth_element(times[l].begin(), middle, times[l].end());
    layers[l].median_ms = *middle;
  }
  return layers;
}

}  // namespace cmunet::engine
