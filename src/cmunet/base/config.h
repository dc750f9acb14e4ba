// SPDX-License-Identifier: Apache-2.0
// Options from TOML files and `--set key=value`, bound to plain structs. Unknown keys and wrong types are errors.
//
// An options struct describes itself once:
//   struct PretrainOptions { int epochs = 100; double lr = 1.5e-4; };
//   void describe(PretrainOptions& o, Fields& f) {
//     f.add("pretrain.epochs", o.epochs, "passes over the data", kPositive);
//     f.add("pretrain.lr", o.lr, "base learning rate per 256 images", kPositive);
//   }
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/base/json.h"

namespace cmunet {

/// What a number may be; NaN is in no range.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool excludes_low = false, excludes_high = false;

  bool contains(double value) const;
  /// "positive", "at least 2", "in [0, 1)"; empty when any number will do.
  std::string text() const;
};
constexpr Range at_least(double low) { return {.low = low}; }
constexpr Range within(double low, double high) { return {.low = low, .high = high}; }
inline constexpr Range kPositive{.low = 0, .excludes_low = true};
inline constexpr Range kNotNegative = at_least(0);
inline constexpr Range kShare = within(0, 1);
inline constexpr Range kShareAboveZero{.low = 0, .high = 1, .excludes_low = true};
inline constexpr Range kShareBelowOne{.low = 0, .high = 1, .excludes_high = true};

/// The named options of one run, each bound to a variable that outlives this object.
class Fields {
 public:
  struct Field {
    std::string name;  ///< dotted: "section.key"
    std::string help;
    Range range;  ///< of a number
    std::function<void(const Json&, const std::string& origin)> set;
    std::function<Json()> get;
  };

  void add(const std::string& name, bool& value, std::string help);
  void add(const std::string& name, int& value, const std::string& help, const Range& range = {});
  void add(const std::string& name, std::int64_t& value, const std::string& help, const Range& range = {});
  void add(const std::string& name, std::uint64_t& value, std::string help);
  void add(const std::string& name, double& value, const std::string& help, const Range& range = {});
  void add(const std::string& name, std::string& value, std::string help);
  /// A closed choice, written in the file as one of `names` (a table that outlives this object).
  template <typename Enum>
  void add(const std::string& name, Enum& value,
           std::span<const std::pair<std::string_view, std::type_identity_t<Enum>>> names, std::string help);

  const std::vector<Field>& all() const { return fields_; }

  /// Sets every key of a nested JSON object (as from `load_toml`) that belongs to a section described here; tables
  /// of `other_sections` are skipped. `origin` names the file in errors.
  /// @throws Error kInvalidArgument on an unknown key (naming the nearest one), a wrong type or a number out of range.
  void apply(const Json& tree, const std::string& origin, std::span<const std::string_view> other_sections = {});
  /// Applies one "key=value"; the section may be left out when the key is unambiguous.
  void apply_set(const std::string& assignment);
  /// @throws Error kInvalidArgument naming the first variable that is out of range, wherever its value came from.
  void check() const;
  /// All values as a nested JSON object {"section": {"key": value}}.
  Json to_json() const;
  /// The same as TOML text with one comment line per key; `apply(load_toml(…))` of it restores every value.
  std::string to_toml() const;

 private:
  Field& find(const std::string& name, const std::string& origin);
  void set(const std::string& name, const Json& value, const std::string& origin);
  std::vector<Field> fields_;
};

/// What no range can say, such as how two options fit each other.
/// @throws Error kInvalidArgument unless `ok`: "[config] KEY is VALUE; must be EXPECTED"
template <typename Value, typename... Expected>
void require_option(bool ok, const std::string& key, const Value& value, const Expected&... expected) {
  CMUNET_CHECK(ok, ErrorCode::kInvalidArgument, "[config] ", key, " is ", value, "; must be ", expected...);
}

/// `Fields::check` of options that describe themselves.
template <typename Options>
void check_ranges(Options options) {
  Fields fields;
  describe(options, fields);
  fields.check();
}

/// Reads a TOML file into nested JSON. @throws Error kNotFound; kInvalidArgument with line and column.
Json load_toml(const std::filesystem::path& path);

[[noreturn]] void throw_bad_choice(const std::string& name, const Json& seen, const std::vector<std::string>& expected,
                                   const std::string& origin);

template <typename Enum>
void Fields::add(const std::string& name, Enum& value,
                 std::span<const std::pair<std::string_view, std::type_identity_t<Enum>>> names, std::string help) {
  help += " (one of:";
  for (const auto& row : names) help.append(" ").append(row.first);
  help += ")";
  Field field{name, std::move(help), {}, nullptr, nullptr};
  field.set = [name, &value, names](const Json& json, const std::string& origin) {
    std::vector<std::string> expected;
    for (const auto& row : names) {
      if (json.is_string() && json.get<std::string>() == row.first) {
        value = row.second;
        return;
      }
      expected.emplace_back(row.first);
    }
    throw_bad_choice(name, json, expected, origin);
  };
  field.get = [&value, names]() -> Json {
    for (const auto& row : names) {
      if (row.second == value) return std::string(row.first);
    }
    return nullptr;
  };
  fields_.push_back(std::move(field));
}

}  // namespace cmunet
