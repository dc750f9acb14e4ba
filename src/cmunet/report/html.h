// SPDX-License-Identifier: Apache-2.0
// One self-contained HTML page: style, plots and pictures inside, nothing loaded from anywhere, light and dark,
// printable. All text is escaped, and a content security policy forbids everything that the page does not bring along.
// The same calls give the same bytes: there is no clock in here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cmunet/image/image.h"
#include "cmunet/report/table.h"

namespace cmunet::report {

/// What stands at the head of a page.
struct PageHead {
  std::string title;
  std::string subtitle;  ///< one line below the title; may be empty
  std::string date;      ///< shown as it is; empty for none, which keeps the output reproducible
};

/// A number to be seen first, in a card.
struct Fact {
  std::string name;
  std::string value;
  std::string note;  ///< small, below; may be empty
};

/// A colour and what it stands for.
struct ColourKey {
  image::Rgb colour;
  std::string name;
};

/// Pictures in rows and columns that mean something; all columns are equally wide.
struct PictureGrid {
  struct Picture {
    image::ImageRgb image;  ///< empty where there is none
    std::string caption;    ///< below it; may be empty
    std::string href;       ///< where it comes from, relative to the page; may be empty
  };
  struct Row {
    std::string title;
    std::vector<Picture> pictures;  ///< one per column
  };
  std::vector<std::string> columns;
  std::vector<Row> rows;
};

/// A page under construction; every call adds below the last. Plots that follow one another share a row, and so do
/// pictures, as far as the window is wide enough.
class Page {
 public:
  explicit Page(PageHead head);

  void heading(std::string_view text);
  void subheading(std::string_view text);
  void paragraph(std::string_view text);
  void facts(std::span<const Fact> facts);
  void colour_keys(std::span<const ColourKey> keys);
  /// A sortable table carries the page's own small script.
  void table(const Table& table, const HtmlTableOptions& options = {});
  /// A plot of svg.h. `svg` is taken as it is: it must come from there.
  void svg(std::string_view svg, std::string_view caption = {});
  /// The same over the whole width of the page, in a row of its own.
  void wide_svg(std::string_view svg, std::string_view caption = {});
  void picture(const image::ImageRgb& image, std::string_view caption);
  void picture(const image::Image<std::uint8_t>& grey, std::string_view caption);

  /// @throws Error kInvalidArgument when a row has not one picture per column.
  void pictures(const PictureGrid& grid, std::string_view caption);

  /// The whole document, with version and disclaimer.
  std::string str() const;

 private:
  enum class Row { kNone, kPlots, kPictures };
  void begin_row(Row row);

  PageHead head_;
  std::string body_;
  Row row_ = Row::kNone;
  bool is_sortable_ = false;
};

}  // namespace cmunet::report
