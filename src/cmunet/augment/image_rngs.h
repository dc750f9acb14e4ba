// SPDX-License-Identifier: Apache-2.0
// A random generator for every image of a batch: what becomes of an image does not hang on the others, so that a batch
// may be cut in parts that are made in different processes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "cmunet/base/random.h"

namespace cmunet::augment {

/// The generators of images `first` … `first` + `count` − 1 of a step: forks of the step's own.
std::vector<Rng> image_rngs(const Rng& step, std::int64_t first, std::int64_t count);

/// @throws Error kInvalidArgument unless there are as many generators as images [N, …].
void check_one_per_image(std::span<const Rng> rngs, const at::Tensor& images);

}  // namespace cmunet::augment
