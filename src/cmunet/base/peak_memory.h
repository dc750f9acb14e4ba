// SPDX-License-Identifier: Apache-2.0
// For tests: how much memory something took.
#pragma once

#include <sys/resource.h>

#include <cstdint>

namespace cmunet {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/// What a bound on memory must allow beside the program's own: AddressSanitizer keeps freed memory for a while,
/// ThreadSanitizer notes of each byte who touched it.
constexpr std::int64_t kSanitizer_kib = 256 * 1024;
#else
constexpr std::int64_t kSanitizer_kib = 0;
#endif

/// Largest resident memory of this process up to now.
inline std::int64_t peak_kib() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

}  // namespace cmunet
