// SPDX-License-Identifier: Apache-2.0
// Where the search for bad inputs starts: small objects of every kind that is read.
#pragma once

#include <string>
#include <vector>

namespace cmunet::fuzz {

struct Seed {
  std::string name;
  std::string bytes;
};

/// Runs in every transfer syntax, with and without what a header may hold, a DICOMDIR, a segmentation, and objects that
/// lie about themselves. The same at every call.
std::vector<Seed> dicom_seeds();

}  // namespace cmunet::fuzz
