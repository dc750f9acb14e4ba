// SPDX-License-Identifier: Apache-2.0
// Scalar summaries in TensorBoard's event-file format (TFRecord framing around the Event protocol buffer).
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cmunet::train {

/// Appends events to a new file events.out.tfevents.<time>.<pid>.cmunet in `dir`; TensorBoard merges several.
class EventWriter {
 public:
  /// @throws Error kIo.
  explicit EventWriter(const std::filesystem::path& dir);
  /// One value per tag at `step`. Not thread-safe.
  void scalars(std::int64_t step, const std::vector<std::pair<std::string, double>>& values);

 private:
  void record(std::string_view event);
  std::ofstream out_;
};

/// CRC-32C with TFRecord's mask: ((crc >> 15) | (crc << 17)) + 0xa282ead8.
std::uint32_t masked_crc32c(std::string_view bytes);

}  // namespace cmunet::train
