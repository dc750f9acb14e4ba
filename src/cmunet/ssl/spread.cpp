// SPDX-License-Identifier: Apache-2.0
#include "cmunet/ssl/spread.h"

#include <torch/torch.h>

namespace cmunet::ssl {

Spread spread_of(const at::Tensor& embeddings) {
  constexpr double kNothing = 1e-12;  // variance in all that rounding leaves of equal unit vectors
  // Double: exempt from autocast, which would compute products in 16 bits.
  const at::Tensor x = embeddings.to(at::kDouble);
  // The eigenvalues of the covariance and of the products of embeddings are the same but for zeros.
  const at::Tensor centred = (x - x.mean(0, true)).nan_to_num(0, 0, 0);  // LAPACK refuses what is not finite
  const at::Tensor products = x.size(0) < x.size(1) ? centred.matmul(centred.t()) : centred.t().matmul(centred);
  const at::Tensor variances = torch::linalg_eigvalsh(products).clamp_min(0);  // λ · (N − 1)
  const at::Tensor sum = variances.sum();
  const at::Tensor share = variances / sum.clamp_min(kNothing);
  const at::Tensor entropy = -torch::xlogy(share, share).sum();
  const at::Tensor sd = x.std(0).mean();
  // 1 where something is spread, 0 where nothing is, NaN with an embedding that is.
  const at::Tensor is_spread = (sum > kNothing).to(at::kDouble) + 0 * sd;
  return {sd, entropy.exp() * is_spread, is_spread / share.square().sum().clamp_min(kNothing)};
}

std::vector<std::pair<std::string, at::Tensor>> named_spread(const std::string& who, const at::Tensor& embeddings) {
  const Spread spread = spread_of(embeddings);
  return {{who + "_sd", spread.sd},
          {who + "_effective_rank", spread.effective_rank},
          {who + "_participation_ratio", spread.participation_ratio}};
}

}  // namespace cmunet::ssl
