// SPDX-License-Identifier: Apache-2.0
#include "cmunet/base/json.h"

#include "cmunet/base/file.h"

namespace cmunet {

Json parse_json(std::string_view text, const std::string& origin) {
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& e) {
    throw Error(ErrorCode::kCorrupt, concat("[json] ", origin, " is not valid JSON at byte ", e.byte));
  }
}

Json load_json(const std::filesystem::path& path) { return parse_json(read_file(path), path.string()); }

void save_json(const std::filesystem::path& path, const Json& value) {
  write_file_atomic(path, value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace cmunet
