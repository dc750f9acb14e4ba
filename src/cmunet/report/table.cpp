// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/table.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/report/text.h"

namespace cmunet::report {
namespace {

bool is_number(const Cell& cell) { return !std::holds_alternative<std::string>(cell); }

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string csv_field(const Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return csv_field(*text);
  if (const auto* count = std::get_if<std::int64_t>(&cell)) return std::to_string(*count);
  const double value = std::get<double>(cell);
  return std::isnan(value) ? "" : format_exact(value);
}

std::string markdown_cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("\\|`*_[]#~").find(c) != std::string_view::npos) out += '\\';
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out;
}

// Columns that a terminal gives to UTF-8 text of single-width characters.
std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// A value that orders cells as a person expects: numbers by size, the undefined last.
std::string sort_key(const Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  if (const auto* count = std::get_if<std::int64_t>(&cell)) return std::to_string(*count);
  const double value = std::get<double>(cell);
  return std::isfinite(value) ? format_exact(value) : std::isnan(value) ? "" : value > 0 ? "1e999" : "-1e999";
}

// The value with its links, escaped.
std::string linked(const std::string& value, std::span<const Link> links) {
  std::string after;
  for (const Link& link : links) {
    if (link.text.empty()) return "<a href=\"" + escape(link.href) + "\">" + escape(value) + "</a>";
    after += " <a href=\"" + escape(link.href) + "\">" + escape(link.text) + "</a>";
  }
  return escape(value) + (after.empty() ? "" : "<span class=\"runs\">" + after + "</span>");
}

void add_settings(Table& table, const Json& value, const std::string& name) {
  if (value.is_object()) {
    for (const auto& [key, child] : value.items()) add_settings(table, child, name.empty() ? key : name + "." + key);
    return;
  }
  constexpr auto kReplace = Json::error_handler_t::replace;
  table.add_row({name, value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, kReplace)});
}

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
  CMUNET_CHECK(!columns_.empty(), ErrorCode::kInvalidArgument, "[table] no columns; at least one is needed");
}

void Table::add_row(std::vector<Cell> cells) {
  CMUNET_CHECK(cells.size() == columns_.size(), ErrorCode::kInvalidArgument, "[table] a row has ", cells.size(),
               " cells; there are ", columns_.size(), " columns");
  rows_.push_back(std::move(cells));
}

void Table::link(std::size_t column, std::vector<Link> links) {
  CMUNET_CHECK(!rows_.empty() && column < columns_.size(), ErrorCode::kInvalidArgument, "[table] there is no column ",
               column, " in a last row to link; there are ", columns_.size(), " columns and ", rows_.size(), " rows");
  links_[{rows_.size() - 1, column}] = std::move(links);
}

std::span<const Link> Table::links(std::size_t row, std::size_t column) const {
  const auto found = links_.find({row, column});
  return found == links_.end() ? std::span<const Link>() : std::span<const Link>(found->second);
}

bool Table::is_numeric(std::size_t column) const {
  return !rows_.empty() &&
         std::all_of(rows_.begin(), rows_.end(), [column](const auto& row) { return is_number(row.at(column)); });
}

Table settings_table(const Json& settings) {
  Table table({{"setting"}, {"value"}});
  add_settings(table, settings, "");
  return table;
}

std::string to_text(const Cell& cell, const Table::Column& column) {
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  if (const auto* count = std::get_if<std::int64_t>(&cell)) return std::to_string(*count);
  const double value = std::get<double>(cell), least = std::pow(10.0, -column.digits);
  if (column.is_p_value && value < least) return "< " + format_fixed(least, column.digits);
  return format_fixed(value, column.digits);
}

std::string to_csv(const Table& table) {
  std::string out;
  for (std::size_t c = 0; c < table.columns().size(); ++c) {
    out += (c > 0 ? "," : "") + csv_field(table.columns()[c].title);
  }
  out += "\r\n";
  for (const auto& row : table.rows()) {
    for (std::size_t c = 0; c < row.size(); ++c) out += (c > 0 ? "," : "") + csv_field(row[c]);
    out += "\r\n";
  }
  return out;
}

void write_csv(const std::filesystem::path& path, const Table& table) {
  std::vector<Table::Column> columns(table.columns().begin(), table.columns().end());
  columns.push_back({"not for clinical use"});
  Table labelled(std::move(columns));
  for (std::vector<Cell> row : table.rows()) {
    row.emplace_back("research software");
    labelled.add_row(std::move(row));
  }
  write_file_atomic(path, to_csv(labelled));
}

std::string to_markdown(const Table& table) {
  std::string out = "|";
  for (const auto& column : table.columns()) out += " " + markdown_cell(column.title) + " |";
  out += "\n|";
  for (std::size_t c = 0; c < table.columns().size(); ++c) out += table.is_numeric(c) ? " ---: |" : " --- |";
  out += "\n";
  for (const auto& row : table.rows()) {
    out += "|";
    for (std::size_t c = 0; c < row.size(); ++c) {
      out += " " + markdown_cell(to_text(row[c], table.columns()[c])) + " |";
    }
    out += "\n";
  }
  return out;
}

Json to_json(const Table& table) {
  Json rows = Json::array();
  for (const auto& row : table.rows()) {
    Json object = Json::object();
    for (std::size_t c = 0; c < row.size(); ++c) {
      const auto* number = std::get_if<double>(&row[c]);
      Json& value = object[table.columns()[c].title];
      if (number != nullptr && !std::isfinite(*number))
        value = nullptr;
      else
        std::visit([&value](const auto& v) { value = v; }, row[c]);
    }
    rows.push_back(std::move(object));
  }
  return rows;
}

std::string to_text(const Table& table) {
  const std::size_t columns = table.columns().size();
  std::vector<std::vector<std::string>> lines(1);
  for (const auto& column : table.columns()) lines[0].push_back(column.title);
  for (const auto& row : table.rows()) {
    std::vector<std::string>& line = lines.emplace_back();
    for (std::size_t c = 0; c < columns; ++c) line.push_back(to_text(row[c], table.columns()[c]));
  }
  std::vector<std::size_t> widths(columns, 0);
  for (const auto& line : lines) {
    for (std::size_t c = 0; c < columns; ++c) widths[c] = std::max(widths[c], display_width(line[c]));
  }
  std::string out;
  for (const auto& line : lines) {
    std::string text;
    for (std::size_t c = 0; c < columns; ++c) {
      const std::string padding(widths[c] - display_width(line[c]), ' ');
      text += (c > 0 ? "  " : "") + (table.is_numeric(c) ? padding + line[c] : line[c] + padding);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  }
  return out;
}

std::string to_html(const Table& table, const HtmlTableOptions& options) {
  std::string out = options.sortable ? "<table class=\"sortable\">" : "<table>";
  if (!options.caption.empty()) out += "<caption>" + escape(options.caption) + "</caption>";
  out += "\n<thead><tr>";
  for (std::size_t c = 0; c < table.columns().size(); ++c) {
    const std::string title = escape(table.columns()[c].title);
    out += table.is_numeric(c) ? "<th scope=\"col\" class=\"number\">" : "<th scope=\"col\">";
    out += (options.sortable ? "<button type=\"button\">" + title + "</button>" : title) + "</th>";
  }
  out += "</tr></thead>\n<tbody>\n";
  for (std::size_t r = 0; r < table.rows().size(); ++r) {
    const auto& row = table.rows()[r];
    out += "<tr>";
    for (std::size_t c = 0; c < row.size(); ++c) {
      out += table.is_numeric(c) ? "<td class=\"number\"" : "<td";
      if (options.sortable) out += " data-key=\"" + escape(sort_key(row[c])) + "\"";
      out += ">" + linked(to_text(row[c], table.columns()[c]), table.links(r, c)) + "</td>";
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table>\n";
}

}  // namespace cmunet::report
