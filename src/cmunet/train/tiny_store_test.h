// SPDX-License-Identifier: Apache-2.0
// For tests: a prepared store that trains in milliseconds.
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "cmunet/base/error.h"
#include "cmunet/dataset/store.h"
#include "cmunet/phantom/phantom.h"

namespace cmunet::train {

/// 64-px phantoms p0, p1, …, z-scored: 6 to pre-train on, 6 to fine-tune, 3 to validate, 2 to test.
inline void write_tiny_store(const std::filesystem::path& dir) {
  std::filesystem::create_directories(dir);
  dataset::StoreWriter writer(dir, 64, 64);
  for (std::uint64_t i = 0; i < 17; ++i) {
    const phantom::Phantom p = phantom::make_phantom({.size = 64, .field_mm = 60}, 100 + i);
    image::ImageF picture(64, 64);
    double mean = 0, squares = 0;
    for (const std::uint8_t v : p.image) {
      mean += v / 4096.0;
      squares += v * v / 4096.0;
    }
    const double sd = std::sqrt(squares - mean * mean);
    std::transform(p.image.begin(), p.image.end(), picture.begin(),
                   [&](std::uint8_t v) { return static_cast<float>((v - mean) / sd); });
    dataset::Record record;
    record.id = record.group = record.source = concat("p", i);
    record.split = i < 6    ? dataset::Split::kPretrain
                   : i < 12 ? dataset::Split::kTrain
                   : i < 15 ? dataset::Split::kVal
                            : dataset::Split::kTest;
    writer.add(record, picture, i < 6 ? image::Mask{} : p.mask);
  }
  writer.finish({{"preprocessing", {{"size", 64}}}});
}

}  // namespace cmunet::train
