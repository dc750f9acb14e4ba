// SPDX-License-Identifier: Apache-2.0
// The weights of a trained UNet as plain numbers, with every batch norm folded into the convolution before it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cmunet/base/random.h"
#include "cmunet/base/safetensors.h"

namespace cmunet::engine {

/// Scales of the UNet above the bottleneck.
inline constexpr std::size_t kLevels = 4;
/// Input sizes must be multiples of this.
inline constexpr std::size_t kTotalStride = 1 << kLevels;
/// The side to which an image is padded: the next multiple of kTotalStride.
constexpr std::size_t padded_side(std::size_t side) { return (side + kTotalStride - 1) / kTotalStride * kTotalStride; }

/// A convolution followed by ReLU (3×3) or by nothing (others).
struct Convolution {
  std::size_t in = 0, out = 0, side = 0;
  std::vector<float> weights;  ///< [out, in, side, side]; of a transposed convolution [in, out, side, side]
  std::vector<float> bias;     ///< [out]
};

/// A UNet as `nn::UNet` defines it, in evaluation mode: one grey channel in, background and vessel out.
struct UNetWeights {
  std::size_t base_width = 0;
  std::array<std::array<Convolution, 2>, kLevels + 1> encoder;  ///< finest first; the last is the bottleneck
  std::array<Convolution, kLevels> up;                          ///< transposed 2×2, [0] yields the finest level
  std::array<std::array<Convolution, 2>, kLevels> decoder;      ///< [0] is the finest level
  Convolution last;                                             ///< 1×1
};

/// Reads the reference UNet's names; numbers may be stored in single or half precision.
/// y = γ·(w∗x + b − μ)/√(σ² + 1e-5) + β becomes one convolution, folded in double.
/// @throws Error kCorrupt when a tensor is missing or has another shape; kUnsupported unless the network has one
///         input channel and two classes.
UNetWeights read_unet_weights(const SafetensorsFile& file);

/// Random weights for tests and benchmarks: normal with variance 2 / fan-in, and small biases.
Convolution random_convolution(std::size_t in, std::size_t out, std::size_t side, Rng& rng);

/// Random weights for tests and benchmarks, each a `random_convolution`; the same for the same seed.
UNetWeights random_unet_weights(std::size_t base_width, std::uint64_t seed);

}  // namespace cmunet::engine
