// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/memory.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

namespace cmunet::train {
namespace {

constexpr const char* kHint = "a smaller batch_size with accumulate, a smaller size or base_width needs less";

std::optional<double> number_in(const char* file) {
  std::ifstream in(file);
  double value = 0;
  if (in >> value) return value;  // "max" is no number: no limit
  return std::nullopt;
}

std::string gib(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", bytes / (1 << 30));
  return text;
}

}  // namespace

std::optional<double> available_memory_bytes() {
  std::optional<double> available;
  std::ifstream meminfo("/proc/meminfo");
  for (std::string key, unit; meminfo >> key;) {
    double value = 0;
    if (key == "MemAvailable:" && meminfo >> value) available = value * 1024;
    std::getline(meminfo, unit);
  }
  const auto limit = number_in("/sys/fs/cgroup/memory.max");
  const auto used = number_in("/sys/fs/cgroup/memory.current");
  if (limit && used) available = std::min(available.value_or(*limit), std::max(0.0, *limit - *used));
  return available;
}

void check_memory(const char* operation, double needed_bytes, at::Device device) {
  const std::optional<double> available = available_memory_bytes();
  if (!device.is_cpu() || !available || needed_bytes <= *available) return;
  throw Error(ErrorCode::kOutOfMemory,
              concat("[", operation, "] needs about ", gib(needed_bytes), " of memory; ", gib(*available), " are free"),
              kHint);
}

Error to_error(const char* operation, const c10::Error& error) {
  const std::string what = error.what_without_backtrace();
  const bool memory = what.find("allocate memory") != what.npos || what.find("not enough memory") != what.npos ||
                      what.find("out of memory") != what.npos;
  if (memory) return {ErrorCode::kOutOfMemory, concat("[", operation, "] ", what), kHint};
  return {ErrorCode::kInternal, concat("[", operation, "] ", what)};
}

}  // namespace cmunet::train
