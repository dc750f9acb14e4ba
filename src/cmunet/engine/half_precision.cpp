// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/half_precision.h"

#include <cmath>
#include <list>
#include <vector>

#include "cmunet/base/error.h"

namespace cmunet::engine {

std::uint16_t to_half(float value) {
  constexpr int kSmallestExponent = -14, kMantissaBits = 10;
  const float magnitude = std::abs(value);
  CMUNET_CHECK(magnitude < 65520, ErrorCode::kNumeric, "[half] ", value, " does not fit half precision");
  const int sign = std::signbit(value) ? 0x8000 : 0;
  if (magnitude == 0) return static_cast<std::uint16_t>(sign);
  const int exponent = std::max(std::ilogb(magnitude), kSmallestExponent);
  // 1024…2048 for normal numbers; rounding up to 2048 carries into the exponent, as it should.
  const auto mantissa = static_cast<int>(std::nearbyint(std::ldexp(magnitude, kMantissaBits - exponent)));
  return static_cast<std::uint16_t>(sign + ((exponent - kSmallestExponent) << kMantissaBits) + mantissa);
}

float from_half(std::uint16_t half) {
  const int exponent = (half >> 10) & 31, mantissa = half & 1023;
  const float sign = (half >> 15) != 0 ? -1.0F : 1.0F;
  if (exponent == 31) return mantissa == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  return sign * std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
}

void write_half_precision(const SafetensorsFile& model, const std::filesystem::path& path) {
  std::list<std::vector<std::uint16_t>> halves;  // stays where it is while the references grow
  std::vector<TensorRef> refs;
  for (const TensorRef& tensor : model.tensors()) {
    refs.push_back(tensor);
    if (tensor.dtype != DType::kF32 || tensor.shape.size() < 2) continue;
    std::vector<std::uint16_t>& half = halves.emplace_back();
    for (const float value : tensor.as<float>()) half.push_back(to_half(value));
    refs.back().dtype = DType::kF16;
    refs.back().bytes = std::as_bytes(std::span(half));
  }
  write_safetensors(path, refs, model.metadata());
}

}  // namespace cmunet::engine
