// SPDX-License-Identifier: Apache-2.0
// Messages to a person. The library never prints: it hands text to one sink, which the program sets.
#pragma once

#include <functional>
#include <string_view>

#include "cmunet/base/error.h"

namespace cmunet {

enum class LogLevel { kInfo, kWarning };

/// Called with one message without a trailing newline; may be called from any thread, one call at a time.
using LogSink = std::function<void(LogLevel, std::string_view)>;

/// Replaces the sink for the whole process; an empty function silences. The default is silent.
void set_log_sink(LogSink sink);

/// Sends concat(parts…) to the sink.
void log_message(LogLevel level, std::string_view message);

template <typename... Parts>
void log_info(const Parts&... parts) {
  log_message(LogLevel::kInfo, concat(parts...));
}
template <typename... Parts>
void log_warning(const Parts&... parts) {
  log_message(LogLevel::kWarning, concat(parts...));
}

}  // namespace cmunet
