// SPDX-License-Identifier: Apache-2.0
// A small table and the ways to write it down. Numbers stay numbers until then: files get every digit, people a few.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cmunet/base/json.h"

namespace cmunet::report {

/// A way from a cell to where its value comes from. The address is relative to the page.
struct Link {
  std::string text;  ///< shown after the value; empty when the value itself is the link
  std::string href;
};

/// Text, a measured number (NaN: undefined), or a count.
using Cell = std::variant<std::string, double, std::int64_t>;

/// Columns with titles, and rows of exactly that many cells.
class Table {
 public:
  struct Column {
    std::string title;        ///< unit included: "diameter (px)"
    int digits = 3;           ///< decimals of the doubles of this column where people read them
    bool is_p_value = false;  ///< people read "< 0.001" where those decimals would all be zero
  };

  /// @throws Error kInvalidArgument without columns.
  explicit Table(std::vector<Column> columns);
  /// @throws Error kInvalidArgument when the number of cells is not the number of columns.
  void add_row(std::vector<Cell> cells);
  /// Gives a cell of the last row links, which only HTML shows. @throws Error kInvalidArgument when there is none.
  void link(std::size_t column, std::vector<Link> links);

  std::span<const Column> columns() const { return columns_; }
  std::span<const std::vector<Cell>> rows() const { return rows_; }
  /// True when the column has rows, and numbers in all of them; it is then aligned to the right.
  bool is_numeric(std::size_t column) const;
  /// Of a cell; mostly none.
  std::span<const Link> links(std::size_t row, std::size_t column) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
  std::map<std::pair<std::size_t, std::size_t>, std::vector<Link>> links_;
};

/// A table of two columns from a nested JSON object, keys dotted, such as the resolved options of a run.
Table settings_table(const Json& settings);

/// The text of a cell for people: doubles with the column's decimals, NaN as an en dash.
std::string to_text(const Cell& cell, const Table::Column& column);

/// RFC 4180: a header line, CRLF, quotes where needed. Doubles with every digit; NaN is an empty field.
std::string to_csv(const Table& table);
/// Writes `to_csv` of the table with one more column, whose title says that this is not for clinical use; files are
/// taken out of their folders. Atomic. @throws Error kIo.
void write_csv(const std::filesystem::path& path, const Table& table);
/// A pipe table; characters that Markdown or HTML would act on are escaped, line breaks become spaces.
std::string to_markdown(const Table& table);
/// An array with one object per row, keyed by column title; NaN and infinity are null.
Json to_json(const Table& table);
/// Lines of aligned columns for a terminal, without trailing spaces.
std::string to_text(const Table& table);

struct HtmlTableOptions {
  std::string caption;
  bool sortable = false;  ///< headers become buttons (the page's own script sorts, see html.h)
};
/// A <table> element, everything escaped.
std::string to_html(const Table& table, const HtmlTableOptions& options = {});

}  // namespace cmunet::report
