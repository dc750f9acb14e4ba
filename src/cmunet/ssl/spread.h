// SPDX-License-Identifier: Apache-2.0
// Whether embeddings are spread out or collapse, to a point or to a few directions.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

namespace cmunet::ssl {

/// How a batch of embeddings lies around its mean; scalars.
struct Spread {
  at::Tensor
      sd;  ///< standard deviation over the batch, mean over dimensions: about 1/√D for unit vectors spread evenly
  /// exp of the entropy of the covariance's eigenvalues λ as shares of their sum (Roy & Vetterli 2007): how many
  /// directions are in use, at most min(N − 1, D); 0 when all embeddings are one.
  at::Tensor effective_rank;
  at::Tensor participation_ratio;  ///< (Σ λ)² / Σ λ²: the same with less weight on small ones
};

/// @param embeddings  [N, D] float, N ≥ 2, without a gradient
/// @return NaN where an embedding is not finite
Spread spread_of(const at::Tensor& embeddings);

/// The same under the names "<who>_sd", "<who>_effective_rank" and "<who>_participation_ratio".
std::vector<std::pair<std::string, at::Tensor>> named_spread(const std::string& who, const at::Tensor& embeddings);

}  // namespace cmunet::ssl
