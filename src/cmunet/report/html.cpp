// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/html.h"

#include <utility>

#include "cmunet/base/error.h"
#include "cmunet/base/version.h"
#include "cmunet/report/overlay.h"
#include "cmunet/report/picture_uri.h"
#include "cmunet/report/text.h"

namespace cmunet::report {
namespace {

// The colours of the plots (svg_canvas.cpp) are set again for dark mode: style rules win over attributes.
constexpr const char* kStyle = R"css(
:root { color-scheme: light dark; --paper: #ffffff; --page: #f5f7fa; --ink: #1f2933; --muted: #52606d;
  --line: #d9e0e7; --accent: #0072b2; --stripe: #f8fafc; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #1b2027; --page: #12161b; --ink: #e4e9ef; --muted: #9fb0c0; --line: #333c47; --accent: #62b5e8;
    --stripe: #20262e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
header, main, footer { max-width: 1120px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 36px; }
h1 { font-size: 27px; line-height: 1.25; margin: 0; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 40px 0 12px; }
h3 { font-size: 15px; margin: 24px 0 10px; color: var(--muted); }
p { margin: 8px 0 14px; max-width: 78ch; overflow-wrap: anywhere; }
.subtitle { color: var(--muted); margin: 4px 0 0; }
.notice { display: inline-block; margin: 14px 0 0; padding: 3px 12px; border: 1px solid var(--line);
  border-radius: 999px; background: var(--paper); color: var(--muted); font-size: 13px; }
.facts { display: flex; flex-wrap: wrap; gap: 12px; margin: 24px 0 8px; }
.fact { flex: 1 1 150px; max-width: 270px;
  background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; }
.fact .name { color: var(--muted); font-size: 13px; }
.fact .value { font-size: 26px; font-weight: 650; line-height: 1.3; font-variant-numeric: tabular-nums; }
.fact .note { color: var(--muted); font-size: 12.5px; font-variant-numeric: tabular-nums; }
.keys { display: flex; flex-wrap: wrap; gap: 6px 22px; margin: 8px 0 14px; padding: 0; list-style: none; }
.keys svg { width: 14px; height: 14px; margin-right: 7px; vertical-align: -2px; }
.scroll { overflow: auto; max-height: 640px; width: fit-content; min-width: min(100%, 420px); max-width: 100%;
  background: var(--paper); border: 1px solid var(--line);
  border-radius: 10px; margin: 10px 0 18px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
caption { text-align: left; padding: 10px 14px 4px; color: var(--muted); }
th, td { padding: 7px 14px; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
td { overflow-wrap: anywhere; }
tbody tr:last-child td { border-bottom: 0; }
tbody tr:nth-child(even) { background: var(--stripe); }
th { position: sticky; top: 0; background: var(--paper); font-weight: 600; white-space: normal;
  vertical-align: bottom; box-shadow: inset 0 -1px var(--line); }
.number { text-align: right; }
th button { all: unset; cursor: pointer; }
th button:hover { color: var(--accent); }
th button:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; border-radius: 3px; }
th button::after { content: "↕"; opacity: .35; margin-left: 5px; }
th[aria-sort=ascending] button::after { content: "↑"; opacity: 1; }
th[aria-sort=descending] button::after { content: "↓"; opacity: 1; }
.row { display: grid; gap: 16px; margin: 10px 0 18px; align-items: start; }
.plots { grid-template-columns: repeat(auto-fill, minmax(min(100%, 430px), 1fr)); }
.pictures { grid-template-columns: repeat(auto-fill, minmax(min(100%, 270px), 1fr)); }
figure { margin: 0; background: var(--paper); border: 1px solid var(--line); border-radius: 10px; overflow: hidden;
  break-inside: avoid; }
figure img { display: block; width: 100%; height: auto; }
figure svg.plot { display: block; width: 100%; height: auto; max-width: 640px; margin: 0 auto; }
.wide { margin: 10px 0 18px; }
.wide figure svg.plot { max-width: none; }
figcaption { padding: 9px 14px; color: var(--muted); font-size: 13.5px; overflow-wrap: anywhere; }
a { color: var(--accent); }
.runs { display: block; font-size: 11.5px; line-height: 1.2; }
.grid { overflow-x: auto; margin: 10px 0 18px; }
.grid table { table-layout: fixed; min-width: 640px; }
.grid th { position: static; box-shadow: none; border: 0; font-size: 13px; white-space: normal; padding: 8px 4px; }
.grid th[scope=row] { width: 138px; padding-left: 14px; vertical-align: middle; overflow-wrap: anywhere; }
.grid td { border: 0; padding: 3px; vertical-align: top; white-space: normal; background: var(--paper); }
.grid img { display: block; width: 100%; height: auto; border-radius: 4px; image-rendering: auto; }
.grid .missing { color: var(--muted); text-align: center; vertical-align: middle; }
.grid .note { color: var(--muted); font-size: 12px; text-align: center; font-variant-numeric: tabular-nums; }
footer { color: var(--muted); font-size: 13px; margin-top: 44px; padding-bottom: 36px; }
footer p { border-top: 1px solid var(--line); padding-top: 14px; max-width: none; }
@media (prefers-color-scheme: dark) {
  .plot .paper { fill: #1b2027; } .plot text, .plot .ink { fill: #e4e9ef; } .plot .ink-line { stroke: #c3ccd6; }
  .plot .muted { fill: #9fb0c0; } .plot .muted-line { stroke: #9fb0c0; } .plot .grid { stroke: #2d3540; }
  .plot .stroke-0 { stroke: #56b4e9; } .plot .fill-0 { fill: #56b4e9; }
  .plot .stroke-1 { stroke: #f5894a; } .plot .fill-1 { fill: #f5894a; }
  .plot .stroke-2 { stroke: #2cc79a; } .plot .fill-2 { fill: #2cc79a; }
  .plot .stroke-5 { stroke: #8aa4ff; } .plot .fill-5 { fill: #8aa4ff; }
  .plot .stroke-6 { stroke: #c3ccd6; } .plot .fill-6 { fill: #c3ccd6; } }
@media print {
  @page { margin: 14mm; }
  :root { color-scheme: light; }
  body { background: #ffffff; font-size: 12px; }
  header, main, footer { max-width: none; padding: 0; }
  .scroll { max-height: none; max-width: none; overflow: visible; }
  th { position: static; } th button::after { content: none; }
  .plots { grid-template-columns: 1fr 1fr; } .pictures { grid-template-columns: 1fr 1fr 1fr; }
  h2, h3 { break-after: avoid; } tr { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
)css";

// Sorts a table by the clicked column: numbers by size, text by its letters, undefined values last in both directions.
constexpr const char* kSortScript = R"js(
for (const button of document.querySelectorAll('table.sortable th button')) {
  button.addEventListener('click', () => {
    const head = button.closest('th');
    const column = [...head.parentNode.children].indexOf(head);
    const numeric = head.classList.contains('number');
    const descending = head.getAttribute('aria-sort') === 'ascending';
    for (const other of head.parentNode.children) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
    const body = head.closest('table').tBodies[0];
    const key = row => row.cells[column].dataset.key;
    const compare = (a, b) => numeric ? Number(a) - Number(b) : a.localeCompare(b, 'en', {numeric: true});
    body.append(...[...body.rows].sort((a, b) => {
      const [p, q] = [key(a), key(b)];
      if (p === '' || q === '') return (p === '') - (q === '');
      return descending ? compare(q, p) : compare(p, q);
    }));
  });
}
)js";

// The script's licence to run under the page's policy; any other script on the page has none.
constexpr const char* kNonce = "cmunet-sort";

std::string element(const char* name, std::string_view attributes, std::string_view text) {
  return concat("<", name, attributes, ">", escape(text), "</", name, ">\n");
}

std::string figure(std::string_view content, std::string_view caption) {
  return concat("<figure>", content, caption.empty() ? std::string() : element("figcaption", "", caption),
                "</figure>\n");
}

}  // namespace

Page::Page(PageHead head) : head_(std::move(head)) {}

void Page::begin_row(Row row) {
  if (row == row_) return;
  if (row_ != Row::kNone) body_ += "</div>\n";
  if (row != Row::kNone) body_ += row == Row::kPlots ? "<div class=\"row plots\">\n" : "<div class=\"row pictures\">\n";
  row_ = row;
}

void Page::heading(std::string_view text) {
  begin_row(Row::kNone);
  body_ += element("h2", "", text);
}

void Page::subheading(std::string_view text) {
  begin_row(Row::kNone);
  body_ += element("h3", "", text);
}

void Page::paragraph(std::string_view text) {
  begin_row(Row::kNone);
  body_ += element("p", "", text);
}

void Page::facts(std::span<const Fact> facts) {
  begin_row(Row::kNone);
  body_ += "<div class=\"facts\">\n";
  for (const Fact& fact : facts) {
    body_ += "<div class=\"fact\">" + element("div", " class=\"name\"", fact.name) +
             element("div", " class=\"value\"", fact.value);
    if (!fact.note.empty()) body_ += element("div", " class=\"note\"", fact.note);
    body_ += "</div>\n";
  }
  body_ += "</div>\n";
}

void Page::colour_keys(std::span<const ColourKey> keys) {
  begin_row(Row::kNone);
  body_ += "<ul class=\"keys\">\n";
  for (const ColourKey& key : keys) {
    body_ += concat(
        "<li><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\"><rect width=\"14\" height=\"14\" rx=\"3\" "
        "fill=\"rgb(",
        int{key.colour.r}, ",", int{key.colour.g}, ",", int{key.colour.b}, ")\"/></svg>", escape(key.name), "</li>\n");
  }
  body_ += "</ul>\n";
}

void Page::table(const Table& table, const HtmlTableOptions& options) {
  begin_row(Row::kNone);
  is_sortable_ = is_sortable_ || options.sortable;
  body_ += "<div class=\"scroll\" tabindex=\"0\">" + to_html(table, options) + "</div>\n";
}

void Page::svg(std::string_view svg, std::string_view caption) {
  begin_row(Row::kPlots);
  body_ += figure(svg, caption);
}

void Page::wide_svg(std::string_view svg, std::string_view caption) {
  begin_row(Row::kNone);
  body_ += "<div class=\"wide\">" + figure(svg, caption) + "</div>\n";
}

void Page::picture(const image::ImageRgb& image, std::string_view caption) {
  begin_row(Row::kPictures);
  body_ += figure(concat("<img alt=\"", escape(caption), "\" width=\"", image.width(), "\" height=\"", image.height(),
                         "\" src=\"", picture_uri(image), "\">"),
                  caption);
}

void Page::picture(const image::Image<std::uint8_t>& grey, std::string_view caption) { picture(to_rgb(grey), caption); }

void Page::pictures(const PictureGrid& grid, std::string_view caption) {
  begin_row(Row::kNone);
  std::string table = "<table>\n<thead><tr><th scope=\"row\"></th>";
  for (const std::string& column : grid.columns) table += "<th scope=\"col\">" + escape(column) + "</th>";
  table += "</tr></thead>\n<tbody>\n";
  for (const PictureGrid::Row& row : grid.rows) {
    CMUNET_CHECK(row.pictures.size() == grid.columns.size(), ErrorCode::kInvalidArgument, "[pictures] row '", row.title,
                 "' has ", row.pictures.size(), " pictures; there are ", grid.columns.size(), " columns");
    table += "<tr><th scope=\"row\">" + escape(row.title) + "</th>";
    for (std::size_t c = 0; c < row.pictures.size(); ++c) {
      const PictureGrid::Picture& picture = row.pictures[c];
      if (picture.image.empty()) {
        table += "<td class=\"missing\">–</td>";
        continue;
      }
      const std::string alt =
          concat(row.title, ", ", grid.columns[c], picture.caption.empty() ? "" : ", ", picture.caption);
      const std::string image = concat("<img alt=\"", escape(alt), "\" src=\"", picture_uri(picture.image), "\">");
      table += "<td>" + (picture.href.empty() ? image : "<a href=\"" + escape(picture.href) + "\">" + image + "</a>");
      if (!picture.caption.empty()) table += "<div class=\"note\">" + escape(picture.caption) + "</div>";
      table += "</td>";
    }
    table += "</tr>\n";
  }
  body_ += "<figure class=\"grid\">" + table + "</tbody></table>\n" +
           (caption.empty() ? std::string() : element("figcaption", "", caption)) + "</figure>\n";
}

std::string Page::str() const {
  const std::string script_source = is_sortable_ ? concat("; script-src 'nonce-", kNonce, "'") : "";
  const std::string script = is_sortable_ ? concat("<script nonce=\"", kNonce, "\">", kSortScript, "</script>\n") : "";
  const std::string made_by = concat("cmunet ", kVersion, head_.date.empty() ? "" : " · ", head_.date);
  return concat("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
                "style-src 'unsafe-inline'",
                script_source, "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
                element("title", "", head_.title), "<style>", kStyle, "</style>\n</head>\n<body>\n<header>\n",
                element("h1", "", head_.title),
                head_.subtitle.empty() ? std::string() : element("p", " class=\"subtitle\"", head_.subtitle),
                element("p", " class=\"notice\"", kDisclaimer), "</header>\n<main>\n", body_,
                row_ == Row::kNone ? "" : "</div>\n", "</main>\n<footer>",
                element("p", "", concat(made_by, " · ", kDisclaimer)), "</footer>\n", script, "</body>\n</html>\n");
}

}  // namespace cmunet::report
