// SPDX-License-Identifier: Apache-2.0
// The one place that names the JSON library. Keys keep the order in which they were written.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace cmunet {

using Json = nlohmann::ordered_json;

/// Parses a JSON text. @throws Error kCorrupt naming `origin` (a path or "stdin") and the byte offset.
Json parse_json(std::string_view text, const std::string& origin);

/// Reads and parses a JSON file. @throws Error kNotFound, kIo, kCorrupt.
Json load_json(const std::filesystem::path& path);

/// Writes `value` atomically (temporary name, flush, rename), indented by two. NaN and infinity become null.
/// @throws Error kIo.
void save_json(const std::filesystem::path& path, const Json& value);

/// A member of an object read from a file, with its type checked.
/// @throws Error kCorrupt "[origin] key 'x' is missing / has the wrong type".
template <typename T>
T json_get(const Json& object, const char* key, const std::string& origin);

}  // namespace cmunet

#include "cmunet/base/error.h"

namespace cmunet {

template <typename T>
T json_get(const Json& object, const char* key, const std::string& origin) {
  const bool has_key = object.is_object() && object.contains(key);
  CMUNET_CHECK(has_key, ErrorCode::kCorrupt, "[", origin, "] key '", key, "' is missing");
  try {
    return object.at(key).get<T>();
  } catch (const nlohmann::json::exception&) {
    throw Error(ErrorCode::kCorrupt, concat("[", origin, "] key '", key, "' has the wrong type: ",
                                            object.at(key).dump().substr(0, 80)));
  }
}

}  // namespace cmunet
