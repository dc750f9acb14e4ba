// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/unet_weights.h"

#include <cmath>
#include <cstdint>

#include "cmunet/base/error.h"
#include "cmunet/base/random.h"
#include "cmunet/engine/half_precision.h"

namespace cmunet::engine {
namespace fs = std::filesystem;

namespace {

constexpr double kBatchNormEpsilon = 1e-5;

class Reader {
 public:
  explicit Reader(const SafetensorsFile& file) : file_(file) {}

  std::vector<float> read(const std::string& name, const std::vector<std::size_t>& shape) const {
    const TensorRef& tensor = file_.at(name);
    bool same = tensor.shape.size() == shape.size();
    for (std::size_t i = 0; same && i < shape.size(); ++i)
      same = tensor.shape[i] == static_cast<std::int64_t>(shape[i]);
    CMUNET_CHECK(same, ErrorCode::kCorrupt, "[engine] tensor '", name, "' of ", file_.path().string(),
                 " has another shape than a UNet of this width");
    std::vector<float> values;
    if (tensor.dtype == DType::kF16) {
      for (const std::uint16_t half : tensor.as<std::uint16_t>()) values.push_back(from_half(half));
      return values;
    }
    CMUNET_CHECK(tensor.dtype == DType::kF32, ErrorCode::kUnsupported, "[engine] tensor '", name, "' is ",
                 to_string(tensor.dtype), "; expected F32 or F16");
    const auto floats = tensor.as<float>();
    values.assign(floats.begin(), floats.end());
    return values;
  }

  Convolution plain(const std::string& prefix, std::size_t in, std::size_t out, std::size_t side,
                    bool transposed) const {
    Convolution c{in, out, side, {}, read(prefix + ".bias", {out})};
    c.weights =
        transposed ? read(prefix + ".weight", {in, out, side, side}) : read(prefix + ".weight", {out, in, side, side});
    return c;
  }

  // `prefix`.N is the convolution, `prefix`.N+1 its batch norm.
  Convolution folded(const std::string& prefix, int index, std::size_t in, std::size_t out) const {
    Convolution c = plain(prefix + std::to_string(index), in, out, 3, false);
    const std::string norm = prefix + std::to_string(index + 1);
    const std::vector<float> gamma = read(norm + ".weight", {out}), beta = read(norm + ".bias", {out});
    const std::vector<float> mean = read(norm + ".running_mean", {out}), variance = read(norm + ".running_var", {out});
    for (std::size_t o = 0; o < out; ++o) {
      const double scale = double{gamma[o]} / std::sqrt(double{variance[o]} + kBatchNormEpsilon);
      for (std::size_t i = o * in * 9; i < (o + 1) * in * 9; ++i) {
        c.weights[i] = static_cast<float>(scale * double{c.weights[i]});
      }
      c.bias[o] = static_cast<float>(scale * (double{c.bias[o]} - double{mean[o]}) + double{beta[o]});
    }
    return c;
  }

  // Two convolutions with their batch norms; their names end in 0, 1, 3 and 4 after `prefix`.
  std::array<Convolution, 2> block(const std::string& prefix, std::size_t in, std::size_t out) const {
    return {folded(prefix, 0, in, out), folded(prefix, 3, out, out)};
  }

 private:
  const SafetensorsFile& file_;
};

}  // namespace

UNetWeights read_unet_weights(const SafetensorsFile& file) {
  const std::vector<std::int64_t>& first = file.at("down_conv1.double_conv.double_conv.0.weight").shape;
  const std::vector<std::int64_t>& last = file.at("conv_last.weight").shape;
  CMUNET_CHECK(first.size() == 4 && first[0] > 0 && first[0] <= 4096, ErrorCode::kCorrupt, "[engine] ",
               file.path().string(), " has no UNet's first convolution");
  CMUNET_CHECK(first[1] == 1 && last.size() == 4 && last[0] == 2, ErrorCode::kUnsupported, "[engine] ",
               file.path().string(), " has ", first[1], " input channels and ", last.empty() ? 0 : last[0],
               " classes; expected 1 and 2");
  UNetWeights unet;
  unet.base_width = static_cast<std::size_t>(first[0]);
  const Reader reader(file);
  const auto width = [&](std::size_t level) { return unet.base_width << level; };
  for (std::size_t l = 0; l <= kLevels; ++l) {
    const std::string prefix =
        l < kLevels ? concat("down_conv", l + 1, ".double_conv.double_conv.") : "double_conv.double_conv.";
    unet.encoder[l] = reader.block(prefix, l == 0 ? 1 : width(l - 1), width(l));
  }
  for (std::size_t l = 0; l < kLevels; ++l) {
    const std::string prefix = concat("up_conv", l + 1, ".");
    unet.up[l] = reader.plain(prefix + "up_sample", width(l + 1), width(l), 2, true);
    unet.decoder[l] = reader.block(prefix + "double_conv.double_conv.", width(l + 1), width(l));
  }
  unet.last = reader.plain("conv_last", width(0), 2, 1, false);
  return unet;
}

Convolution random_convolution(std::size_t in, std::size_t out, std::size_t side, Rng& rng) {
  Convolution c{in, out, side, std::vector<float>(in * out * side * side), std::vector<float>(out)};
  const double scale = std::sqrt(2.0 / static_cast<double>(in * side * side));
  for (float& w : c.weights) w = static_cast<float>(scale * rng.normal());
  for (float& b : c.bias) b = static_cast<float>(0.1 * rng.normal());
  return c;
}

UNetWeights random_unet_weights(std::size_t base_width, std::uint64_t seed) {
  Rng rng(seed);
  UNetWeights unet;
  unet.base_width = base_width;
  const auto width = [&](std::size_t level) { return base_width << level; };
  for (std::size_t l = 0; l <= kLevels; ++l) {
    unet.encoder[l] = {random_convolution(l == 0 ? 1 : width(l - 1), width(l), 3, rng),
                       random_convolution(width(l), width(l), 3, rng)};
  }
  for (std::size_t l = 0; l < kLevels; ++l) {
    unet.up[l] = random_convolution(width(l + 1), width(l), 2, rng);
    unet.decoder[l] = {random_convolution(width(l + 1), width(l), 3, rng),
                       random_convolution(width(l), width(l), 3, rng)};
  }
  unet.last = random_convolution(base_width, 2, 1, rng);
  return unet;
}

}  // namespace cmunet::engine
