// SPDX-License-Identifier: Apache-2.0
// Refuses a run that cannot fit before it starts, and says so when memory ends after all: a process that the kernel
// kills says nothing.
#pragma once

#include <c10/core/Device.h>
#include <c10/util/Exception.h>

#include <optional>

#include "cmunet/base/error.h"

namespace cmunet::train {

/// Bytes that this process may still take: the machine's available memory, or what its control group leaves when that
/// is less. Nothing where the system does not say.
std::optional<double> available_memory_bytes();

/// Throws kOutOfMemory naming both figures when a run on the CPU needs more than is available. Says nothing about other
/// devices: their allocators report exhaustion themselves.
void check_memory(const char* operation, double needed_bytes, at::Device device);

/// LibTorch's exception as the project's: kOutOfMemory when an allocator gave up, otherwise kInternal.
Error to_error(const char* operation, const c10::Error& error);

}  // namespace cmunet::train
