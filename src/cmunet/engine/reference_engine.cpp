// SPDX-License-Identifier: Apache-2.0
// The UNet as its definition says, without any cleverness: what the fast engine is compared with.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/engine/native_engine.h"

namespace cmunet::engine {
namespace {

// [channels][height][width], in double.
struct Volume {
  std::size_t channels = 0, height = 0, width = 0;
  std::vector<double> data;
  Volume(std::size_t c, std::size_t h, std::size_t w) : channels(c), height(h), width(w), data(c * h * w, 0.0) {}
  double& at(std::size_t c, std::size_t y, std::size_t x) { return data[(c * height + y) * width + x]; }
  double at(std::size_t c, std::size_t y, std::size_t x) const { return data[(c * height + y) * width + x]; }
};

// 'Same' convolution, odd side, zero beyond the edge.
Volume convolve(const Volume& x, const Convolution& conv, bool relu) {
  Volume out(conv.out, x.height, x.width);
  const std::size_t border = conv.side / 2;
  for (std::size_t o = 0; o < conv.out; ++o) {
    for (std::size_t y = 0; y < x.height; ++y) {
      for (std::size_t px = 0; px < x.width; ++px) {
        double sum = double{conv.bias[o]};
        for (std::size_t i = 0; i < conv.in; ++i) {
          for (std::size_t a = 0; a < conv.side; ++a) {
            for (std::size_t b = 0; b < conv.side; ++b) {
              const std::size_t yy = y + a - border, xx = px + b - border;  // wraps below zero, then fails the test
              if (yy >= x.height || xx >= x.width) continue;
              sum += x.at(i, yy, xx) * double{conv.weights[((o * conv.in + i) * conv.side + a) * conv.side + b]};
            }
          }
        }
        out.at(o, y, px) = relu ? std::max(sum, 0.0) : sum;
      }
    }
  }
  return out;
}

Volume convolve_transposed(const Volume& x, const Convolution& conv) {
  Volume out(conv.out, 2 * x.height, 2 * x.width);
  for (std::size_t o = 0; o < conv.out; ++o) {
    for (std::size_t y = 0; y < out.height; ++y) {
      for (std::size_t px = 0; px < out.width; ++px) {
        double sum = double{conv.bias[o]};
        for (std::size_t i = 0; i < conv.in; ++i) {
          sum += x.at(i, y / 2, px / 2) * double{conv.weights[((i * conv.out + o) * 2 + y % 2) * 2 + px % 2]};
        }
        out.at(o, y, px) = sum;
      }
    }
  }
  return out;
}

Volume pool(const Volume& x) {
  Volume out(x.channels, x.height / 2, x.width / 2);
  for (std::size_t c = 0; c < x.channels; ++c) {
    for (std::size_t y = 0; y < out.height; ++y) {
      for (std::size_t px = 0; px < out.width; ++px) {
        out.at(c, y, px) = std::max({x.at(c, 2 * y, 2 * px), x.at(c, 2 * y, 2 * px + 1), x.at(c, 2 * y + 1, 2 * px),
                                     x.at(c, 2 * y + 1, 2 * px + 1)});
      }
    }
  }
  return out;
}

Volume concatenate(const Volume& a, const Volume& b) {
  Volume out(a.channels + b.channels, a.height, a.width);
  std::copy(b.data.begin(), b.data.end(), std::copy(a.data.begin(), a.data.end(), out.data.begin()));
  return out;
}

Volume forward(const UNetWeights& unet, Volume x) {
  std::vector<Volume> skips;
  for (std::size_t l = 0; l <= kLevels; ++l) {
    for (const Convolution& conv : unet.encoder[l]) x = convolve(x, conv, true);
    if (l == kLevels) break;
    skips.push_back(x);
    x = pool(x);
  }
  for (std::size_t l = kLevels; l-- > 0;) {
    x = concatenate(convolve_transposed(x, unet.up[l]), skips[l]);
    for (const Convolution& conv : unet.decoder[l]) x = convolve(x, conv, true);
  }
  return convolve(x, unet.last, false);
}

class ReferenceEngine : public Engine {
 public:
  explicit ReferenceEngine(const UNetWeights& weights) : weights_(weights) {}

  std::string name() const override { return "reference cpu fp64"; }

  std::vector<image::ImageF> vessel_probability(std::span<const image::ImageF> images) override {
    std::vector<image::ImageF> results;
    for (const image::ImageF& picture : images) {
      CMUNET_CHECK(!picture.empty(), ErrorCode::kInvalidArgument, "[engine] an image is empty");
      const auto height = static_cast<std::size_t>(picture.height()), width = static_cast<std::size_t>(picture.width());
      Volume grey(1, padded_side(height), padded_side(width));
      for (std::size_t y = 0; y < grey.height; ++y) {
        for (std::size_t x = 0; x < grey.width; ++x) {
          grey.at(0, y, x) = double{picture.data()[std::min(y, height - 1) * width + std::min(x, width - 1)]};
        }
      }
      const Volume logits = forward(weights_, grey);
      image::ImageF& result = results.emplace_back(picture.height(), picture.width());
      for (std::size_t y = 0; y < height; ++y) {
        for (std::size_t x = 0; x < width; ++x) {
          const double probability = 1 / (1 + std::exp(logits.at(0, y, x) - logits.at(1, y, x)));
          result.data()[y * width + x] = static_cast<float>(probability);
        }
      }
      result.spacing_mm = picture.spacing_mm;
    }
    return results;
  }

 private:
  UNetWeights weights_;
};

}  // namespace

std::shared_ptr<Engine> make_reference_engine(const UNetWeights& weights) {
  return std::make_shared<ReferenceEngine>(weights);
}

}  // namespace cmunet::engine
