// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/native_engine.h"

#include <algorithm>
#include <mutex>

#include "cmunet/base/error.h"
#include "cmunet/engine/native_unet.h"
#include "cmunet/kernels/layers.h"

namespace cmunet::engine {
namespace {

int padded(int side) { return static_cast<int>(padded_side(static_cast<std::size_t>(side))); }

image::ImageF repeat_edge(const image::ImageF& picture, int height, int width) {
  image::ImageF padded(height, width);
  for (int y = 0; y < height; ++y) {
    const float* row = picture.row(std::min(y, picture.height() - 1));
    float* out = padded.row(y);
    std::copy_n(row, picture.width(), out);
    std::fill(out + picture.width(), out + width, row[picture.width() - 1]);
  }
  return padded;
}

class NativeEngine : public Engine {
 public:
  NativeEngine(const UNetWeights& weights, int threads) : pool_(threads), unet_(weights, pool_) {}

  std::string name() const override { return concat("native cpu fp32 ", kernels::instruction_set()); }

  std::vector<image::ImageF> vessel_probability(std::span<const image::ImageF> images) override {
    const std::scoped_lock lock(mutex_);
    std::vector<image::ImageF> results;
    results.reserve(images.size());
    for (const image::ImageF& picture : images) results.push_back(run(picture));
    return results;
  }

 private:
  image::ImageF run(const image::ImageF& picture) {
    CMUNET_CHECK(!picture.empty(), ErrorCode::kInvalidArgument, "[engine] an image is empty");
    const int height = padded(picture.height()), width = padded(picture.width());
    const bool whole = height == picture.height() && width == picture.width();
    const image::ImageF input = whole ? image::ImageF() : repeat_edge(picture, height, width);
    image::ImageF probability(height, width);
    unet_.forward(whole ? picture.data() : input.data(), static_cast<std::size_t>(height),
                  static_cast<std::size_t>(width), probability.data());
    if (whole) {
      probability.spacing_mm = picture.spacing_mm;
      return probability;
    }
    image::ImageF result(picture.height(), picture.width());
    for (int y = 0; y < result.height(); ++y) std::copy_n(probability.row(y), result.width(), result.row(y));
    result.spacing_mm = picture.spacing_mm;
    return result;
  }

  std::mutex mutex_;
  kernels::ThreadPool pool_;
  NativeUNet unet_;
};

}  // namespace

std::shared_ptr<Engine> make_native_engine(const UNetWeights& weights, int threads) {
  return std::make_shared<NativeEngine>(weights, threads);
}

}  // namespace cmunet::engine
