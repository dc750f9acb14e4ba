// SPDX-License-Identifier: Apache-2.0
// The one place that names the JSON library. Keys keep the order in which they were written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace cmunet {

using Json = nlohmann::ordered_json;

/// Parses a JSON text. @throws Error kCorrupt naming `origin` (a path or "stdin") and the byte offset; also on more
/// than 200 levels of nesting and on numbers beyond a double.
Json parse_json(std::string_view text, const std::string& origin);

/// Reads and parses a JSON file. @throws Error kNotFound, kIo, kCorrupt.
Json load_json(const std::filesystem::path& path);

/// The documents of a file with one per line; empty lines are skipped. @throws Error kNotFound, kIo, kCorrupt.
std::vector<Json> load_json_lines(const std::filesystem::path& path);

/// Writes `value` atomically (temporary name, flush, rename), indented by two. NaN and infinity become null.
/// @throws Error kIo.
void save_json(const std::filesystem::path& path, const Json& value);

/// A member of an object read from a file, with its type checked: a whole number must be written as one and fit T.
/// @throws Error kCorrupt "[origin] key 'x' is missing / has the wrong type / is out of range".
template <typename T>
T json_get(const Json& object, const char* key, const std::string& origin);

}  // namespace cmunet

#include "cmunet/base/error.h"

namespace cmunet {

template <typename T>
T json_get(const Json& object, const char* key, const std::string& origin) {
  const bool has_key = object.is_object() && object.contains(key);
  CMUNET_CHECK(has_key, ErrorCode::kCorrupt, "[", origin, "] key '", key, "' is missing");
  const Json& value = object.at(key);
  bool type_ok = true;
  bool range_ok = true;
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {  // the library would convert and truncate
    type_ok = value.is_number_integer();
    range_ok = value.is_number_unsigned() ? std::in_range<T>(value.template get<std::uint64_t>())
                                          : !type_ok || std::in_range<T>(value.template get<std::int64_t>());
  } else if constexpr (std::is_floating_point_v<T>) {
    type_ok = value.is_number();
  }
  try {
    if (type_ok && range_ok) return value.template get<T>();
  } catch (const nlohmann::json::exception&) {
    type_ok = false;
  }
  throw Error(ErrorCode::kCorrupt,
              concat("[", origin, "] key '", key, type_ok ? "' is out of range: " : "' has the wrong type: ",
                     value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80)));
}

}  // namespace cmunet
