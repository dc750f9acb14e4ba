// SPDX-License-Identifier: Apache-2.0
// The images of a prepared store as pictures and masks.
#pragma once

#include <cstddef>
#include <vector>

#include "cmunet/dataset/store.h"
#include "cmunet/image/image.h"

namespace cmunet::cli {

/// The prepared image with its spacing.
image::ImageF image_of(const dataset::Store& store, std::size_t index);
/// @throws Error kInvalidArgument when there is none.
image::Mask mask_of(const dataset::Store& store, std::size_t index);
/// Indices of the images of one split that have a mask. @throws Error kInvalidArgument when there is none.
std::vector<std::size_t> labelled_in(const dataset::Store& store, dataset::Split split);

}  // namespace cmunet::cli
