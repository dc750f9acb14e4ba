// SPDX-License-Identifier: Apache-2.0
#include "cmunet/base/json.h"

#include <sstream>

#include "cmunet/base/file.h"

namespace cmunet {

namespace {

constexpr int kMaxDepth = 200;

// The JSON library copies and prints values by recursion, so a text of a million brackets would end the program.
bool is_nested_too_deeply(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& origin) {
  CMUNET_CHECK(!is_nested_too_deeply(text), ErrorCode::kCorrupt, "[json] ", origin, " is nested more than ", kMaxDepth,
               " levels deep");
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& e) {
    throw Error(ErrorCode::kCorrupt, concat("[json] ", origin, " is not valid JSON at byte ", e.byte));
  } catch (const nlohmann::json::exception&) {
    throw Error(ErrorCode::kCorrupt, concat("[json] ", origin, " holds a number that is too large"));
  }
}

Json load_json(const std::filesystem::path& path) { return parse_json(read_file(path), path.string()); }

std::vector<Json> load_json_lines(const std::filesystem::path& path) {
  std::vector<Json> documents;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) documents.push_back(parse_json(line, path.string()));
  }
  return documents;
}

void save_json(const std::filesystem::path& path, const Json& value) {
  write_file_atomic(path, value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace cmunet
