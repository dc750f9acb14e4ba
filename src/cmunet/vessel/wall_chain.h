// SPDX-License-Identifier: Apache-2.0
// Widths of neighbouring cuts joined along the vessel.
#pragma once

#include <span>
#include <vector>

#include "cmunet/vessel/calliper.h"

namespace cmunet::vessel {

/// The most probable course of a radius along a vessel: each value pulls with 1 / sd², and the slope of the course
/// changes at random, by a variance of `bend` per px of way (an integrated random walk; Whittaker's smoother). Sure
/// values stay where they are, unsure ones follow their neighbours.
/// @param radii       px, sd above 0, one each `spacing_px`
/// @param related     cuts that share their errors, as neighbours do whose grey values overlap; 1: none
/// @return as many, with the standard deviations that they have together
std::vector<Estimate> joined_along(std::span<const Estimate> radii, double spacing_px, double bend, double related);

}  // namespace cmunet::vessel
