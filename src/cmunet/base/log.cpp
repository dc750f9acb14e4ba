// SPDX-License-Identifier: Apache-2.0
#include "cmunet/base/log.h"

#include <mutex>
#include <utility>

namespace cmunet {
namespace {

struct SinkSlot {
  std::mutex mutex;
  LogSink sink;
};

SinkSlot& slot() {
  static SinkSlot instance;
  return instance;
}

}  // namespace

void set_log_sink(LogSink sink) {
  const std::lock_guard lock(slot().mutex);
  slot().sink = std::move(sink);
}

void log_message(LogLevel level, std::string_view message) {
  const std::lock_guard lock(slot().mutex);
  if (slot().sink) slot().sink(level, message);
}

}  // namespace cmunet
