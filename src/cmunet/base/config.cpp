// SPDX-License-Identifier: Apache-2.0
#include "cmunet/base/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "cmunet/base/file.h"

namespace cmunet {
namespace {

Json to_json(const toml::node& node) {
  if (const auto* table = node.as_table()) {
    Json object = Json::object();
    for (const auto& [key, value] : *table) object[std::string(key.str())] = to_json(value);
    return object;
  }
  if (const auto* array = node.as_array()) {
    Json list = Json::array();
    for (const auto& value : *array) list.push_back(to_json(value));
    return list;
  }
  if (const auto* v = node.as_string()) return v->get();
  if (const auto* v = node.as_integer()) return v->get();
  if (const auto* v = node.as_floating_point()) return v->get();
  if (const auto* v = node.as_boolean()) return v->get();
  throw Error(ErrorCode::kInvalidArgument, "[config] dates and times are not used in a cmunet config");
}

Json parse_toml(std::string_view text, const std::string& origin) {
  try {
    return to_json(toml::parse(text, origin));
  } catch (const toml::parse_error& e) {
    throw Error(ErrorCode::kInvalidArgument, concat("[config] ", origin, " line ", e.source().begin.line, " column ",
                                                    e.source().begin.column, ": ", e.description()));
  }
}

// As people write it: 1048576, 0.5, 1e-09.
std::string shown(double value) {
  std::ostringstream text;
  text.precision(15);
  text << value;
  return text.str();
}

// JSON text that can be printed even when a command line held bytes that are not UTF-8.
std::string shown(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

[[noreturn]] void wrong_type(const std::string& name, const Json& seen, const char* expected,
                             const std::string& origin) {
  throw Error(ErrorCode::kInvalidArgument,
              concat("[config] ", origin, ": ", name, " is ", shown(seen), "; expected ", expected));
}

template <typename Int>
Int checked_integer(const std::string& name, const Json& json, const std::string& origin) {
  if (!json.is_number_integer()) wrong_type(name, json, "a whole number", origin);
  if (json.is_number_unsigned()) {
    const auto wide = json.get<std::uint64_t>();
    if (!std::in_range<Int>(wide)) wrong_type(name, json, "a number in range", origin);
    return static_cast<Int>(wide);
  }
  const auto wide = json.get<std::int64_t>();
  if (!std::in_range<Int>(wide)) wrong_type(name, json, "a number in range", origin);
  return static_cast<Int>(wide);
}

// Levenshtein distance, for "did you mean".
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row[b.size()];
}

void require_in_range(const Fields::Field& field, const std::string& origin) {
  const Json value = field.get();
  if (!value.is_number() || field.range.contains(value.get<double>())) return;
  const std::string range = field.range.text();
  throw Error(ErrorCode::kInvalidArgument,
              concat("[config] ", origin, origin.empty() ? "" : ": ", field.name, " is ", value.get<double>(),
                     "; must be ", range.empty() ? "a number" : range));
}

// The help of a number says what it may be.
std::string with_range(const std::string& help, const Range& range) {
  const std::string text = range.text();
  return text.empty() ? help : concat(help, " (", text, ")");
}

std::string section_of(const std::string& name) { return name.substr(0, name.rfind('.')); }

}  // namespace

bool Range::contains(double value) const {
  return (excludes_low ? value > low : value >= low) && (excludes_high ? value < high : value <= high);
}

std::string Range::text() const {
  const bool has_low = std::isfinite(low), has_high = std::isfinite(high);
  const std::string from = shown(low), to = shown(high);
  if (has_low && has_high) return concat(excludes_low ? "in (" : "in [", from, ", ", to, excludes_high ? ")" : "]");
  if (has_low && excludes_low) return low == 0 ? "positive" : "above " + from;
  if (has_low) return "at least " + from;
  return has_high ? (excludes_high ? "below " : "at most ") + to : "";
}

void Fields::add(const std::string& name, bool& value, std::string help) {
  fields_.push_back({name, std::move(help), Range{},
                     [name, &value](const Json& json, const std::string& origin) {
                       if (!json.is_boolean()) wrong_type(name, json, "true or false", origin);
                       value = json.get<bool>();
                     },
                     [&value]() -> Json { return value; }});
}

void Fields::add(const std::string& name, int& value, const std::string& help, const Range& range) {
  fields_.push_back({name, with_range(help, range), range,
                     [name, &value](const Json& json, const std::string& origin) {
                       value = checked_integer<int>(name, json, origin);
                     },
                     [&value]() -> Json { return value; }});
}

void Fields::add(const std::string& name, std::int64_t& value, const std::string& help, const Range& range) {
  fields_.push_back({name, with_range(help, range), range,
                     [name, &value](const Json& json, const std::string& origin) {
                       value = checked_integer<std::int64_t>(name, json, origin);
                     },
                     [&value]() -> Json { return value; }});
}

void Fields::add(const std::string& name, std::uint64_t& value, std::string help) {
  fields_.push_back({name, std::move(help), Range{},
                     [name, &value](const Json& json, const std::string& origin) {
                       value = checked_integer<std::uint64_t>(name, json, origin);
                     },
                     [&value]() -> Json { return value; }});
}

void Fields::add(const std::string& name, double& value, const std::string& help, const Range& range) {
  fields_.push_back({name, with_range(help, range), range,
                     [name, &value](const Json& json, const std::string& origin) {
                       if (!json.is_number()) wrong_type(name, json, "a number", origin);
                       const double number = json.get<double>();
                       if (!std::isfinite(number)) wrong_type(name, json, "a finite number", origin);
                       value = number;
                     },
                     [&value]() -> Json { return value; }});
}

void Fields::add(const std::string& name, std::string& value, std::string help) {
  fields_.push_back({name, std::move(help), Range{},
                     [name, &value](const Json& json, const std::string& origin) {
                       if (!json.is_string()) wrong_type(name, json, "a text in quotes", origin);
                       value = json.get<std::string>();
                     },
                     [&value]() -> Json { return value; }});
}

Fields::Field& Fields::find(const std::string& name, const std::string& origin) {
  const Field* nearest = nullptr;
  std::size_t nearest_distance = 4;  // farther than three edits is no longer a typing mistake
  for (Field& field : fields_) {
    if (field.name == name) return field;
    const std::size_t distance = edit_distance(field.name, name);
    if (distance < nearest_distance) {
      nearest = &field;
      nearest_distance = distance;
    }
  }
  std::string hint;
  if (nearest != nullptr) {
    hint = "did you mean '" + nearest->name + "'?";
  } else {
    hint = "--dry-run prints every key with its value";
  }
  throw Error(ErrorCode::kInvalidArgument, concat("[config] ", origin, ": unknown key '", name, "'"), hint);
}

void Fields::apply(const Json& tree, const std::string& origin, std::span<const std::string_view> other_sections) {
  const std::function<void(const Json&, const std::string&)> visit = [&](const Json& node, const std::string& prefix) {
    for (const auto& [key, value] : node.items()) {
      const std::string name = prefix.empty() ? key : prefix + "." + key;
      if (std::find(other_sections.begin(), other_sections.end(), name) != other_sections.end()) continue;
      if (value.is_object()) {
        visit(value, name);
      } else {
        set(name, value, origin);
      }
    }
  };
  visit(tree, "");
}

void Fields::apply_set(const std::string& assignment) {
  const std::string origin = "--set " + assignment;
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw Error(ErrorCode::kInvalidArgument, concat("[config] ", origin, " is not key=value"));
  }
  std::string key = assignment.substr(0, equals);
  const std::string text = assignment.substr(equals + 1);
  if (key.find('.') == std::string::npos) {
    std::vector<std::string> matches;
    for (const Field& field : fields_) {
      if (field.name.size() > key.size() && field.name.ends_with("." + key)) matches.push_back(field.name);
    }
    if (matches.size() > 1) {
      throw Error(ErrorCode::kInvalidArgument, concat("[config] ", origin, ": '", key, "' is ambiguous"),
                  "write " + matches[0] + " or " + matches[1]);
    }
    if (matches.size() == 1) key = matches[0];
  }
  Json value;
  try {
    value = parse_toml("v = " + text, origin)["v"];
  } catch (const Error&) {
    value = text;  // an unquoted word, as in --set method=mae
  }
  set(key, value, origin);
}

void Fields::set(const std::string& name, const Json& value, const std::string& origin) {
  const Field& field = find(name, origin);
  field.set(value, origin);
  require_in_range(field, origin);
}

void Fields::check() const {
  for (const Field& field : fields_) require_in_range(field, "");
}

Json Fields::to_json() const {
  Json tree = Json::object();
  for (const Field& field : fields_) {
    Json* node = &tree;
    std::string rest = field.name;
    for (std::size_t dot = rest.find('.'); dot != std::string::npos; dot = rest.find('.')) {
      node = &(*node)[rest.substr(0, dot)];
      rest = rest.substr(dot + 1);
    }
    (*node)[rest] = field.get();
  }
  return tree;
}

std::string Fields::to_toml() const {
  std::vector<std::string> sections;
  for (const Field& field : fields_) {
    const std::string section = section_of(field.name);
    if (std::find(sections.begin(), sections.end(), section) == sections.end()) sections.push_back(section);
  }
  std::ostringstream out;
  for (const std::string& section : sections) {
    out << (section == sections.front() ? "" : "\n") << "[" << section << "]\n";
    for (const Field& field : fields_) {
      if (section_of(field.name) != section) continue;
      const Json json = field.get();
      CMUNET_CHECK(!json.is_number_unsigned() || std::in_range<std::int64_t>(json.get<std::uint64_t>()),
                   ErrorCode::kInvalidArgument, "[config] ", field.name, " is ", shown(json),
                   "; a config file holds whole numbers up to 2^63 - 1");
      std::string value = shown(json);
      // TOML tells 1 from 1.0; JSON text of a double may lack the point.
      if (json.is_number_float() && value.find_first_of(".e") == std::string::npos) value += ".0";
      out << "# " << field.help << "\n" << field.name.substr(section.size() + 1) << " = " << value << "\n";
    }
  }
  return out.str();
}

Json load_toml(const std::filesystem::path& path) { return parse_toml(read_file(path, 1 << 24), path.string()); }

void throw_bad_choice(const std::string& name, const Json& seen, const std::vector<std::string>& expected,
                      const std::string& origin) {
  std::string list;
  for (const std::string& word : expected) list += (list.empty() ? "" : ", ") + word;
  throw Error(ErrorCode::kInvalidArgument,
              concat("[config] ", origin, ": ", name, " is ", shown(seen), "; expected one of ", list));
}

}  // namespace cmunet
