// SPDX-License-Identifier: Apache-2.0
#include "cmunet/base/error.h"

namespace cmunet {
namespace {

std::string full_message(const std::string& message, const std::string& hint) {
  return hint.empty() ? message : message + ". Hint: " + hint;
}

}  // namespace

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return "invalid argument";
    case ErrorCode::kNotFound: return "not found";
    case ErrorCode::kCorrupt: return "corrupt";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kIo: return "input/output";
    case ErrorCode::kOutOfMemory: return "out of memory";
    case ErrorCode::kNumeric: return "numeric";
    case ErrorCode::kCancelled: return "cancelled";
    case ErrorCode::kInternal: return "internal";
  }
  return "internal";
}

int exit_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return 2;
    case ErrorCode::kNotFound:
    case ErrorCode::kCorrupt:
    case ErrorCode::kUnsupported:
    case ErrorCode::kIo: return 3;
    case ErrorCode::kOutOfMemory: return 4;
    case ErrorCode::kNumeric: return 5;
    case ErrorCode::kCancelled: return 6;
    case ErrorCode::kInternal: return 1;
  }
  return 1;
}

Error::Error(ErrorCode code, const std::string& message, const std::string& hint)
    : std::runtime_error(full_message(message, hint)), code_(code), message_(message), hint_(hint) {}

}  // namespace cmunet
