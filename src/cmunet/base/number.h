// SPDX-License-Identifier: Apache-2.0
// A number that is all of a text.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace cmunet {

/// Absent unless the whole text is one number in C's notation, without a plus sign or spaces, that `Number` can hold.
template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_whole = error == std::errc() && end == text.data() + text.size();
  return is_whole ? std::optional(value) : std::nullopt;
}

}  // namespace cmunet
