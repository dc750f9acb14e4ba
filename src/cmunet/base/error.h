// SPDX-License-Identifier: Apache-2.0
// The one exception type of cmunet, and the check macro that throws it.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace cmunet {

/// What kind of thing went wrong. The CLI maps it to an exit status (see `exit_status`).
enum class ErrorCode {
  kInvalidArgument,  ///< a flag, config key or function argument is wrong        -> 2
  kNotFound,         ///< a file or folder that was named is not there            -> 3
  kCorrupt,          ///< bytes do not follow their format                        -> 3
  kUnsupported,      ///< valid, but not something cmunet handles                 -> 3
  kIo,               ///< reading or writing failed (disk full, permission)       -> 3
  kOutOfMemory,      ///< host or device memory ran out                           -> 4
  kNumeric,          ///< a loss or weight became NaN or infinite                 -> 5
  kCancelled,        ///< stopped on request; a checkpoint was saved              -> 6
  kInternal,         ///< a bug in cmunet                                         -> 1
};

/// Short name of a code, e.g. "corrupt".
std::string_view to_string(ErrorCode code);

/// Process exit status for a code: 1 internal, 2 usage or config, 3 data, 4 memory, 5 numeric, 6 interrupted.
int exit_status(ErrorCode code);

/// The one exception of the library. `what()` is a single line: "[operation] seen; expected. Hint: …".
class Error : public std::runtime_error {
 public:
  /// @param message  "[operation] what was seen; what was expected"
  /// @param hint     what the user can do about it; may be empty
  Error(ErrorCode code, const std::string& message, const std::string& hint = {});

  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }
  const std::string& hint() const { return hint_; }

 private:
  ErrorCode code_;
  std::string message_;
  std::string hint_;
};

/// Concatenates its arguments as an ostream would print them.
template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace cmunet

/// Throws `cmunet::Error(code, concat(parts…))` unless `cond` holds.
/// Example: `CMUNET_CHECK(n > 0, ErrorCode::kInvalidArgument, "[split] n is ", n, "; must be positive");`
#define CMUNET_CHECK(cond, code, ...)                               \
  do {                                                              \
    if (!(cond)) {                                                  \
      throw ::cmunet::Error((code), ::cmunet::concat(__VA_ARGS__)); \
    }                                                               \
  } while (false)
