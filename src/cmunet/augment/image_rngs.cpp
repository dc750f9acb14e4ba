// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/image_rngs.h"

#include "cmunet/base/error.h"

namespace cmunet::augment {

std::vector<Rng> image_rngs(const Rng& step, std::int64_t first, std::int64_t count) {
  std::vector<Rng> rngs;
  for (std::int64_t i = first; i < first + count; ++i) rngs.push_back(step.fork(static_cast<std::uint64_t>(i)));
  return rngs;
}

void check_one_per_image(std::span<const Rng> rngs, const at::Tensor& images) {
  CMUNET_CHECK(static_cast<std::int64_t>(rngs.size()) == images.size(0), ErrorCode::kInvalidArgument, "[augment] ",
               rngs.size(), " random generators for images ", images.sizes(), "; expected one per image");
}

}  // namespace cmunet::augment
