// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dataset/import.h"

#include <algorithm>
#include <limits>
#include <map>
#include <sstream>
#include <string_view>

#include "cmunet/base/file.h"
#include "cmunet/base/number.h"
#include "cmunet/codec/codec.h"

namespace cmunet::dataset {
namespace fs = std::filesystem;

namespace {

std::vector<fs::path> pictures_of(const fs::path& dir) {
  if (!fs::is_directory(dir)) {
    throw Error(ErrorCode::kNotFound, concat("[import] ", dir.string(), " is not a folder"));
  }
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(dir)) {
    if (entry.is_regular_file() && codec::is_image_file(entry.path())) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) {
    throw Error(ErrorCode::kNotFound, concat("[import] ", dir.string(), " holds no image"),
                "PNG, JPEG, TIFF, BMP and PGM files are read");
  }
  return files;
}

std::map<std::string, fs::path> by_stem(const std::vector<fs::path>& files) {
  std::map<std::string, fs::path> map;
  for (const fs::path& file : files) {
    const auto [at, is_new] = map.emplace(file.stem().string(), file);
    CMUNET_CHECK(is_new, ErrorCode::kCorrupt, "[import] ", at->second.string(), " and ", file.string(),
                 " have one name; expected one file per image");
  }
  return map;
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < 10; ++i) text += (i == 0 ? "" : ", ") + names[i];
  return names.size() > 10 ? concat(text, " and ", names.size() - 10, " more") : text;
}

Item make_item(const std::string& id, const fs::path& image) {
  Item item;
  item.id = item.group = id;
  item.image = image;
  return item;
}

// Records of an RFC 4180 text; quotes may hold commas, line breaks and doubled quotes.
std::vector<std::vector<std::string>> parse_csv(const std::string& text, const std::string& origin) {
  std::vector<std::vector<std::string>> rows(1, std::vector<std::string>(1));
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      rows.back().back() += '"';
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (quoted || (c != ',' && c != '\n' && c != '\r')) {
      rows.back().back() += c;
    } else if (c == ',') {
      rows.back().emplace_back();
    } else if (c == '\n') {
      rows.emplace_back(1);
    }
  }
  CMUNET_CHECK(!quoted, ErrorCode::kCorrupt, "[import] ", origin, ": a quote is never closed");
  std::erase_if(rows, [](const auto& row) { return row.size() == 1 && row.front().empty(); });
  return rows;
}

image::Spacing parse_spacing(const std::string& text, const std::string& origin) {
  std::string words = text;
  std::ranges::replace_if(
      words, [](char c) { return std::string_view(",;x\\").find(c) != std::string_view::npos; }, ' ');
  std::istringstream in(words);
  std::vector<double> numbers;
  for (std::string word; in >> word;) {
    numbers.push_back(parse_number<double>(word).value_or(std::numeric_limits<double>::quiet_NaN()));
  }
  const bool has_numbers = numbers.size() == 1 || numbers.size() == 2;
  const image::Spacing spacing = has_numbers ? image::Spacing{numbers.front(), numbers.back()} : image::Spacing{};
  CMUNET_CHECK(has_numbers && spacing.row_mm > 0 && spacing.col_mm > 0 && spacing.row_mm < 10 && spacing.col_mm < 10,
               ErrorCode::kCorrupt, "[import] ", origin, ": spacing '", text,
               "' is not one or two numbers of millimetres between 0 and 10");
  return spacing;
}

image::PointF point_at(const Json& flat, std::size_t i) {
  return {flat.at(i + 1).get<double>(), flat.at(i).get<double>()};
}

// Adds an annotation's outlines [[x, y, x, y, …], …].
void add_polygons(const Json& annotation, Polygons& polygons, const std::string& origin) {
  const Json segmentation = json_get<Json>(annotation, "segmentation", origin);
  CMUNET_CHECK(segmentation.is_array(), ErrorCode::kUnsupported, "[import] ", origin,
               ": run-length masks are not read; expected polygons");
  for (const Json& flat : segmentation) {
    const bool numbers = flat.is_array() && flat.size() >= 6 && flat.size() % 2 == 0 &&
                         std::all_of(flat.begin(), flat.end(), [](const Json& v) { return v.is_number(); });
    CMUNET_CHECK(numbers, ErrorCode::kCorrupt, "[import] ", origin,
                 ": a polygon is not a list of at least three x, y pairs");
    auto& polygon = polygons.emplace_back();
    for (std::size_t i = 0; i < flat.size(); i += 2) polygon.push_back(point_at(flat, i));
  }
}

}  // namespace

std::vector<Item> import_folder(const fs::path& images, const fs::path& masks, std::optional<Split> split) {
  std::map<std::string, fs::path> mask_files;
  if (!masks.empty()) mask_files = by_stem(pictures_of(masks));
  std::vector<Item> items;
  std::vector<std::string> missing;
  for (const auto& [stem, path] : by_stem(pictures_of(images))) {
    Item& item = items.emplace_back(make_item(stem, path));
    item.split = split;
    if (masks.empty()) continue;
    const auto found = mask_files.find(stem);
    if (found == mask_files.end()) {
      missing.push_back(path.filename().string());
    } else {
      item.mask = found->second;
    }
  }
  if (!missing.empty()) {
    throw Error(ErrorCode::kCorrupt,
                concat("[import] ", missing.size(), " images have no mask in ", masks.string(), ": ", listed(missing)),
                "masks are paired by file name; put unlabelled images into a folder of their own");
  }
  return items;
}

std::vector<Item> import_coco(const fs::path& json, const fs::path& images, const std::string& category,
                              std::optional<Split> split) {
  const std::string origin = json.string();
  const Json document = load_json(json);
  std::map<std::int64_t, std::string> category_names;
  for (const Json& row : json_get<Json>(document, "categories", origin)) {
    category_names[json_get<std::int64_t>(row, "id", origin)] = json_get<std::string>(row, "name", origin);
  }
  std::map<std::int64_t, Polygons> polygons;
  for (const Json& annotation : json_get<Json>(document, "annotations", origin)) {
    const std::string name = category_names[json_get<std::int64_t>(annotation, "category_id", origin)];
    const bool wanted = category.empty() ? name != "stenosis" : name == category;
    if (wanted) add_polygons(annotation, polygons[json_get<std::int64_t>(annotation, "image_id", origin)], origin);
  }
  std::vector<Item> items;
  for (const Json& row : json_get<Json>(document, "images", origin)) {
    const fs::path name = json_get<std::string>(row, "file_name", origin);
    // Names come from a file that is not trusted: they must stay inside the folder.
    CMUNET_CHECK(!name.empty() && name == name.filename(), ErrorCode::kCorrupt, "[import] ", origin, ": file name '",
                 name.string(), "' is not a plain name");
    Item& item = items.emplace_back(make_item(name.stem().string(), images / name));
    item.split = split;
    item.mask = polygons[json_get<std::int64_t>(row, "id", origin)];
    CMUNET_CHECK(fs::exists(item.image), ErrorCode::kNotFound, "[import] ", origin, " names ", item.image.string(),
                 ", which is not there");
  }
  CMUNET_CHECK(!items.empty(), ErrorCode::kCorrupt, "[import] ", origin, " lists no image");
  std::sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.id < b.id; });
  return items;
}

std::vector<Item> import_nnunet(const fs::path& dir) {
  const Json document = load_json(dir / "dataset.json");
  const std::string origin = (dir / "dataset.json").string();
  CMUNET_CHECK(document.contains("labels"), ErrorCode::kCorrupt, "[import] ", origin, " has no 'labels'");
  std::vector<Item> items;
  const auto add = [&](const char* image_dir, const char* label_dir, std::optional<Split> split) {
    if (!fs::is_directory(dir / image_dir)) return;
    std::map<std::string, fs::path> labels;
    if (fs::is_directory(dir / label_dir)) labels = by_stem(pictures_of(dir / label_dir));
    for (const auto& [stem, path] : by_stem(pictures_of(dir / image_dir))) {
      if (!stem.ends_with("_0000")) {
        CMUNET_CHECK(stem.size() > 5 && stem[stem.size() - 5] == '_', ErrorCode::kCorrupt, "[import] ", path.string(),
                     ": expected a name that ends in _0000");
        continue;  // a further channel: angiograms have one
      }
      const std::string name = stem.substr(0, stem.size() - 5);
      Item& item = items.emplace_back(make_item(name, path));
      item.split = split;
      if (const auto found = labels.find(name); found != labels.end()) item.mask = found->second;
    }
  };
  add("imagesTr", "labelsTr", std::nullopt);
  add("imagesTs", "labelsTs", Split::kTest);
  CMUNET_CHECK(!items.empty(), ErrorCode::kNotFound, "[import] ", dir.string(), " has no image in imagesTr");
  return items;
}

std::vector<Item> import_csv(const fs::path& csv) {
  const std::string origin = csv.string();
  const auto rows = parse_csv(read_file(csv, 1 << 28), origin);
  CMUNET_CHECK(rows.size() > 1, ErrorCode::kCorrupt, "[import] ", origin, " has no row below its header line");
  std::map<std::string, std::size_t> column;
  for (std::size_t i = 0; i < rows[0].size(); ++i) {
    constexpr std::array<std::string_view, 5> kColumns{"path", "mask", "patient", "split", "spacing"};
    CMUNET_CHECK(std::ranges::find(kColumns, rows[0][i]) != kColumns.end(), ErrorCode::kCorrupt, "[import] ", origin,
                 ": unknown column '", rows[0][i], "'; expected path, mask, patient, split, spacing");
    column[rows[0][i]] = i;
  }
  CMUNET_CHECK(column.contains("path"), ErrorCode::kCorrupt, "[import] ", origin, " has no column 'path'");
  std::vector<Item> items;
  for (std::size_t r = 1; r < rows.size(); ++r) {
    const std::string where = concat(origin, " line ", r + 1);
    CMUNET_CHECK(rows[r].size() == rows[0].size(), ErrorCode::kCorrupt, "[import] ", where, " has ", rows[r].size(),
                 " fields; the header has ", rows[0].size());
    const auto field = [&](const char* name) { return column.contains(name) ? rows[r][column[name]] : std::string(); };
    const fs::path image = csv.parent_path() / field("path");
    CMUNET_CHECK(!field("path").empty() && fs::exists(image), ErrorCode::kNotFound, "[import] ", where, ": ",
                 image.string(), " is not there");
    Item& item = items.emplace_back(make_item(fs::path(field("path")).replace_extension().generic_string(), image));
    if (!field("mask").empty()) item.mask = csv.parent_path() / field("mask");
    if (!field("patient").empty()) item.group = field("patient");
    if (!field("split").empty()) item.split = parse_split(field("split"));
    if (!field("spacing").empty()) item.spacing_mm = parse_spacing(field("spacing"), where);
  }
  return items;
}

}  // namespace cmunet::dataset
