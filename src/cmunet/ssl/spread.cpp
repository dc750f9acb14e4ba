// SPDX-License-Identifier: Apache-2.0
#include "cmunet/ssl/spread.h"

#include <torch/torch.h>

namespace cmunet::ssl {

Spread spread_of(const at::Tensor& embeddings) {
  constexpr double kNothing = 1e-12;  // variance in all that rounding leaves of equal unit vectors
  // Double: exempt from autocast, which would compute products in 16 bits.
  const at::Tensor x = embeddings.to(at::kDouble);
  const at::Tensor centred = x - x.mean(0, true);
  const at::Tensor variances = torch::linalg_svdvals(centred).square();  // λ · (N − 1)
  const at::Tensor sum = variances.sum();
  const at::Tensor share = variances / sum.clamp_min(kNothing);
  const at::Tensor entropy = -torch::xlogy(share, share).sum();
  const at::Tensor is_spread = (sum > kNothing).to(at::kDouble);
  return {x.std(0).mean(), entropy.exp() * is_spread, is_spread / share.square().sum().clamp_min(kNothing)};
}

void add_spread(const std::string& who, const at::Tensor& embeddings, Loss& loss) {
  const Spread spread = spread_of(embeddings);
  loss.parts.emplace_back(who + "_sd", spread.sd);
  loss.parts.emplace_back(who + "_effective_rank", spread.effective_rank);
  loss.parts.emplace_back(who + "_participation_ratio", spread.participation_ratio);
}

}  // namespace cmunet::ssl
