// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dataset/doctor.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "cmunet/codec/codec.h"
#include "cmunet/dataset/leakage.h"
#include "cmunet/dataset/store.h"

namespace cmunet::dataset {
namespace fs = std::filesystem;

namespace {

using Findings = std::vector<Finding>;

void add_error(Findings& f, std::string what, std::string where, std::string message, std::string fix) {
  f.push_back({true, std::move(what), std::move(where), std::move(message), std::move(fix)});
}
void add_warning(Findings& f, std::string what, std::string where, std::string message, std::string fix) {
  f.push_back({false, std::move(what), std::move(where), std::move(message), std::move(fix)});
}

std::map<std::string, fs::path> pictures_by_stem(const fs::path& dir, Findings& findings) {
  std::map<std::string, fs::path> files;
  for (const auto& entry : fs::directory_iterator(dir)) {
    if (entry.is_directory()) continue;
    const fs::path& path = entry.path();
    if (!codec::is_image_file(path)) {
      add_warning(findings, "other_file", path.string(), "is not an image by its name", "it is ignored; move it away");
    } else if (!files.emplace(path.stem().string(), path).second) {
      add_error(findings, "same_name", path.string(), "another image has this name with another extension",
                "keep one file per image");
    }
  }
  return files;
}

// nnU-Net's NAME_0000.ext is the first channel of NAME; angiograms have no other.
std::map<std::string, fs::path> first_channels(const std::map<std::string, fs::path>& pictures, Findings& findings) {
  std::map<std::string, fs::path> named;
  for (const auto& [stem, path] : pictures) {
    if (stem.ends_with("_0000")) {
      named.emplace(stem.substr(0, stem.size() - 5), path);
    } else if (stem.size() <= 5 || stem[stem.size() - 5] != '_') {
      add_error(findings, "channel", path.string(), "has no channel in its name", "nnU-Net expects NAME_0000");
    }
  }
  return named;
}

// Looks at one picture; returns its size, or 0×0 when it cannot be read.
std::pair<int, int> examine_picture(const std::string& id, const fs::path& path, Findings& findings,
                                    std::vector<Thumbnail>& thumbnails, std::vector<std::string>& ids) {
  try {
    const codec::DecodedImage decoded = codec::read_image(path);
    const auto [low, high] = std::minmax_element(decoded.grey.begin(), decoded.grey.end());
    if (*low == *high) {
      add_error(findings, "constant_image", path.string(), "has one grey value everywhere", "leave this image out");
    }
    if (decoded.had_colour) {
      add_warning(findings, "colour", path.string(), "is stored in colour",
                  "it is read as grey; check that it is no overlay");
    }
    thumbnails.push_back(thumbnail_of(decoded.grey));
    ids.push_back(id);
    return {decoded.grey.height(), decoded.grey.width()};
  } catch (const Error& e) {
    add_error(findings, "unreadable", path.string(), e.message(), "export this image again");
    return {0, 0};
  }
}

void examine_mask(const fs::path& path, std::pair<int, int> image_size, Findings& findings) {
  image::Image<std::uint16_t> labels;
  try {
    labels = codec::read_labels(path);
  } catch (const Error& e) {
    add_error(findings, "unreadable", path.string(), e.message(), "export this mask again");
    return;
  }
  if (image_size.first > 0 && std::pair(labels.height(), labels.width()) != image_size) {
    add_error(findings, "mask_size", path.string(),
              concat("is ", labels.height(), "x", labels.width(), " but its image is ", image_size.first, "x",
                     image_size.second),
              "export the mask at the image's size, with nearest-neighbour resampling");
  }
  const std::set<std::uint16_t> values(labels.begin(), labels.end());
  if (values == std::set<std::uint16_t>{0}) {
    add_warning(findings, "empty_mask", path.string(), "marks no vessel",
                "check it; leave the image out if it is a mistake");
  } else if (!values.contains(0)) {
    add_warning(findings, "full_mask", path.string(), "has no background", "check that background is 0");
  }
  if (values.size() > 2 && *values.rbegin() > 64) {
    add_warning(findings, "antialiased_mask", path.string(), concat("has ", values.size(), " different values"),
                "every value but 0 counts as vessel; export without antialiasing and not as JPEG");
  }
}

void report_duplicates(const std::vector<Thumbnail>& thumbnails, const std::vector<std::string>& ids, int threads,
                       Findings& findings) {
  for (const DuplicatePair& p : near_duplicates(thumbnails, {}, threads)) {
    add_warning(findings, "near_duplicate", ids[p.a],
                concat("looks like ", ids[p.b], " (correlation ", p.correlation, ")"),
                "keep both in one split: prepare with --group-duplicates or a patient column");
  }
}

Findings examine_folder(const fs::path& images_dir, const fs::path& masks_dir, int threads, bool has_channels = false) {
  Findings findings;
  auto images = pictures_by_stem(images_dir, findings);
  if (has_channels) images = first_channels(images, findings);
  std::map<std::string, fs::path> masks;
  if (!masks_dir.empty()) masks = pictures_by_stem(masks_dir, findings);
  if (images.empty())
    add_error(findings, "no_images", images_dir.string(), "holds no image", "PNG, JPEG, TIFF, BMP and PGM are read");
  std::vector<Thumbnail> thumbnails;
  std::vector<std::string> ids;
  std::map<std::pair<int, int>, int> sizes;
  for (const auto& [stem, path] : images) {
    const std::pair<int, int> size = examine_picture(stem, path, findings, thumbnails, ids);
    if (size.first > 0) ++sizes[size];
    const auto mask = masks.find(stem);
    if (mask != masks.end()) {
      examine_mask(mask->second, size, findings);
    } else if (!masks_dir.empty()) {
      add_error(findings, "missing_mask", path.string(), concat("has no mask in ", masks_dir.string()),
                "add the mask, or move the image to a folder of unlabelled ones");
    }
  }
  for (const auto& [stem, path] : masks) {
    if (!images.contains(stem)) {
      add_warning(findings, "missing_image", path.string(), "is a mask without an image",
                  "add the image or remove the mask");
    }
  }
  if (sizes.size() > 1) {
    add_warning(findings, "mixed_sizes", images_dir.string(), concat("images have ", sizes.size(), " different sizes"),
                "prepare resizes them all; predictions come back in each image's own size");
  }
  report_duplicates(thumbnails, ids, threads, findings);
  return findings;
}

Findings examine_nnunet(const fs::path& path, int threads) {
  Findings findings = examine_folder(path / "imagesTr", path / "labelsTr", threads, true);
  if (!fs::is_directory(path / "imagesTs")) return findings;
  const fs::path labels = fs::is_directory(path / "labelsTs") ? path / "labelsTs" : fs::path();
  Findings test = examine_folder(path / "imagesTs", labels, threads, true);
  std::ranges::move(test, std::back_inserter(findings));
  return findings;
}

bool holds_picture(const fs::path& dir) {
  return std::any_of(fs::directory_iterator(dir), fs::directory_iterator(),
                     [](const fs::directory_entry& entry) { return codec::is_image_file(entry.path()); });
}

Findings examine_store(const fs::path& path, int threads) {
  Findings findings;
  const Store store = Store::open(path);
  try {
    store.verify();
  } catch (const Error& e) {
    add_error(findings, "damaged", path.string(), e.message(), "prepare the store again");
  }
  std::vector<Thumbnail> thumbnails;
  std::vector<int> splits;
  for (std::size_t i = 0; i < store.records().size(); ++i) {
    image::ImageF picture(store.height(), store.width());
    std::ranges::copy(store.image(i), picture.begin());
    const Record& record = store.records()[i];
    const auto [low, high] = std::minmax_element(picture.begin(), picture.end());
    if (*low == *high)
      add_error(findings, "constant_image", record.id, "has one grey value everywhere", "leave it out");
    if (record.has_mask && std::ranges::count(store.mask(i), 1) == 0) {
      add_warning(findings, "empty_mask", record.id, "marks no vessel", "check it");
    }
    thumbnails.push_back(thumbnail_of(picture));
    splits.push_back(static_cast<int>(record.split));
  }
  for (const DuplicatePair& p : near_duplicates(thumbnails, splits, threads)) {
    add_error(findings, "leakage", store.records()[p.a].id,
              concat("looks like ", store.records()[p.b].id, " in another split (correlation ", p.correlation, ")"),
              "prepare again with --group-duplicates");
  }
  for (const std::string& group : groups_across_splits(store.records())) {
    add_error(findings, "group_leakage", group, "has images in more than one split", "prepare again, divided by group");
  }
  return findings;
}

}  // namespace

Findings examine(const fs::path& path, int threads) {
  if (!fs::is_directory(path)) {
    throw Error(ErrorCode::kNotFound, concat("[doctor] ", path.string(), " is not a folder"),
                "expected a store or a folder of images");
  }
  if (fs::exists(path / "manifest.json")) return examine_store(path, threads);
  if (fs::is_directory(path / "imagesTr") && fs::is_directory(path / "labelsTr")) return examine_nnunet(path, threads);
  const fs::path images = fs::is_directory(path / "images") ? path / "images" : path;
  for (const char* name : {"masks", "labels"}) {
    if (fs::is_directory(path / name)) return examine_folder(images, path / name, threads);
  }
  const fs::path annotations = path / "annotations";  // that of ARCADE holds polygons in JSON
  if (fs::is_directory(annotations) && holds_picture(annotations)) {
    return examine_folder(images, annotations, threads);
  }
  return examine_folder(images, {}, threads);
}

Json to_json(const Findings& findings) {
  Json rows = Json::array();
  std::int64_t errors = 0;
  for (const Finding& f : findings) {
    errors += f.is_error ? 1 : 0;
    rows.push_back({{"level", f.is_error ? "error" : "warning"},
                    {"what", f.what},
                    {"where", f.where},
                    {"message", f.message},
                    {"fix", f.fix}});
  }
  return {{"findings", rows}, {"errors", errors}, {"warnings", static_cast<std::int64_t>(findings.size()) - errors}};
}

}  // namespace cmunet::dataset
