// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dataset/prepare.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <regex>
#include <set>

#include "cmunet/base/log.h"
#include "cmunet/base/parallel.h"
#include "cmunet/codec/codec.h"
#include "cmunet/dataset/leakage.h"
#include "cmunet/dicom/xa.h"
#include "cmunet/image/resize.h"
#include "cmunet/preprocess/run_frame.h"

namespace cmunet::dataset {
namespace {

image::Mask mask_of(const Item& item, int height, int width, std::int64_t& antialiased) {
  if (const auto* polygons = std::get_if<Polygons>(&item.mask)) return rasterise(*polygons, height, width);
  const auto& path = std::get<std::filesystem::path>(item.mask);
  codec::LabelMask read = codec::mask_of_labels(codec::read_labels(path));
  antialiased = read.soft_pixels;
  image::Mask mask = std::move(read.mask);
  if (mask.height() != height || mask.width() != width) {
    throw Error(ErrorCode::kCorrupt,
                concat("[prepare] mask ", path.string(), " is ", mask.height(), "x", mask.width(), " but image ",
                       item.image.string(), " is ", height, "x", width, "; both must have one size"),
                "cmunet doctor lists all such pairs");
  }
  return mask;
}

// The picture as `predict` shows it to networks, too; its size before pixels were made square goes to `result`.
image::ImageF read_picture(const Item& item, PreparedItem& result) {
  image::ImageF grey;
  std::optional<dicom::XaRun> run;
  if (item.frame) {
    run.emplace(item.image);
    grey = run->frame(*item.frame);
  } else {
    grey = codec::read_image(item.image).grey;
  }
  grey.spacing_mm = item.spacing_mm;
  result.source_height = grey.height();
  result.source_width = grey.width();
  if (run) {
    const dicom::XaHeader& header = run->header();
    return preprocess::picture_of_frame(grey, run->field(*item.frame),
                                        {.pixel_aspect = header.pixel_aspect_ratio, .is_log = header.is_log});
  }
  return preprocess::with_square_pixels(grey, item.spacing_mm ? item.spacing_mm->row_mm / item.spacing_mm->col_mm : 1);
}

// A category that no annotation has, or the wrong folder, would become a store without vessels.
void warn_of_empty_masks(const std::vector<Item>& items, const std::vector<PreparedItem>& prepared) {
  std::map<std::filesystem::path, std::pair<std::int64_t, bool>> folders;  // number of masks; does one mark a vessel?
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!items[i].has_mask()) continue;
    auto& [count, has_vessel] = folders[items[i].image.parent_path()];
    ++count;
    has_vessel = has_vessel || std::ranges::find(prepared[i].mask, std::uint8_t{1}) != prepared[i].mask.end();
  }
  for (const auto& [folder, masks] : folders) {
    if (!masks.second) {
      log_warning("[prepare] none of the ", masks.first, " masks for ", folder.string(), " marks a vessel");
    }
  }
}

std::vector<PreparedItem> prepare_all(const PrepareRequest& request) {
  std::vector<PreparedItem> prepared(request.items.size());
  for_each_parallel(prepared.size(), request.threads,
                    [&](std::size_t i) { prepared[i] = prepare_item(request.items[i], request.preprocessing); });
  std::int64_t antialiased = 0, images = 0;
  for (const PreparedItem& item : prepared) {
    antialiased += item.antialiased_pixels;
    images += item.antialiased_pixels > 0 ? 1 : 0;
  }
  codec::warn_of_soft_masks(images, antialiased, "prepare");
  warn_of_empty_masks(request.items, prepared);
  return prepared;
}

struct Moments {
  double mean = 0, sd = 0;
};

template <typename Images>
Moments moments_of(const Images& images) {
  double sum = 0, squares = 0, n = 0;
  for (const PreparedItem& item : images) {
    for (const float v : item.image) {
      sum += static_cast<double>(v);
      squares += static_cast<double>(v) * static_cast<double>(v);
    }
    n += static_cast<double>(item.image.size());
  }
  const double mean = sum / n;
  return {mean, std::sqrt(std::max(0.0, squares / n - mean * mean))};
}

// Of the images that may be learnt from.
Moments learnable_moments(const std::vector<Record>& records, const std::vector<PreparedItem>& prepared) {
  std::vector<std::reference_wrapper<const PreparedItem>> learnable;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const bool is_learnable = records[i].split == Split::kPretrain || records[i].split == Split::kTrain;
    if (is_learnable) learnable.emplace_back(prepared[i]);
  }
  if (learnable.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "[prepare] normalise is dataset but no image is in the splits pretrain and train",
                "set prepare.dataset_mean and prepare.dataset_sd to those that the model was trained with");
  }
  const Moments moments = moments_of(learnable);
  CMUNET_CHECK(moments.sd > 0, ErrorCode::kCorrupt, "[prepare] all images are one grey value");
  return moments;
}

// z-scores by dataset_mean and dataset_sd, which are found and set here unless the user has set one of them.
void normalise_by_dataset(const std::vector<Record>& records, std::vector<PreparedItem>& prepared,
                          preprocess::Options& options) {
  const preprocess::Options defaults;
  const bool is_given = options.dataset_mean != defaults.dataset_mean || options.dataset_sd != defaults.dataset_sd;
  if (!is_given) {
    const Moments moments = learnable_moments(records, prepared);
    options.dataset_mean = moments.mean;
    options.dataset_sd = moments.sd;
  }
  for (PreparedItem& item : prepared) {
    for (float& v : item.image) {
      v = static_cast<float>((static_cast<double>(v) - options.dataset_mean) / options.dataset_sd);
    }
  }
}

void join_groups(std::vector<std::string>& groups, const std::vector<DuplicatePair>& pairs) {
  for (const DuplicatePair& p : pairs) {
    const std::string from = groups[p.b], to = groups[p.a];
    if (from == to) continue;
    std::replace(groups.begin(), groups.end(), from, to);
  }
}

void refuse_torn_groups(const std::vector<Record>& records) {
  const std::vector<std::string> groups = groups_across_splits(records);
  if (!groups.empty()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        concat("[prepare] ", groups.size(), " groups stand in more than one split, first '", groups.front(), "'"),
        "let --split divide by group, or correct the split column");
  }
}

void refuse_duplicates(const std::vector<Record>& records, const std::vector<DuplicatePair>& pairs) {
  if (pairs.empty()) return;
  std::string list;
  for (std::size_t i = 0; i < pairs.size() && i < 5; ++i) {
    list += concat(i == 0 ? "" : "; ", records[pairs[i].a].id, " (", to_string(records[pairs[i].a].split), ") and ",
                   records[pairs[i].b].id, " (", to_string(records[pairs[i].b].split), ")");
  }
  throw Error(
      ErrorCode::kInvalidArgument, concat("[prepare] ", pairs.size(), " near-duplicates stand across splits: ", list),
      "--drop-duplicates leaves one of each pair out, --group-duplicates keeps them together, --allow-duplicates "
      "accepts them and says so in the store");
}

// How much a split needs its images as they are: what is measured on must not depend on what is trained on.
int rank(Split split) {
  switch (split) {
    case Split::kPretrain: return 0;
    case Split::kTrain: return 1;
    case Split::kVal: return 2;
    case Split::kTest: return 3;
  }
  return 0;
}

// Removes the lower-ranked image of each pair, unless its partner is gone already; says which and why.
Json drop_duplicates(std::vector<Record>& records, std::vector<PreparedItem>& prepared,
                     const std::vector<DuplicatePair>& pairs) {
  Json dropped = Json::array();
  std::vector<bool> gone(records.size(), false);
  for (const DuplicatePair& p : pairs) {
    if (gone[p.a] || gone[p.b]) continue;
    const bool first = rank(records[p.a].split) < rank(records[p.b].split);
    const std::size_t loser = first ? p.a : p.b, keeper = first ? p.b : p.a;
    gone[loser] = true;
    dropped.push_back({{"id", records[loser].id},
                       {"split", to_string(records[loser].split)},
                       {"resembles", records[keeper].id},
                       {"in", to_string(records[keeper].split)},
                       {"correlation", p.correlation}});
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (gone[i]) continue;
    if (kept != i) {
      records[kept] = std::move(records[i]);
      prepared[kept] = std::move(prepared[i]);
    }
    ++kept;
  }
  records.resize(kept);
  prepared.resize(kept);
  return dropped;
}

std::vector<int> split_labels_of(const std::vector<Record>& records) {
  std::vector<int> labels;
  for (const Record& record : records) labels.push_back(static_cast<int>(record.split));
  return labels;
}

Json statistics_of(const std::vector<Record>& records, const std::vector<PreparedItem>& prepared) {
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> counts;
  double vessel = 0, pixels = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    auto& [images, labelled] = counts[std::string(to_string(records[i].split))];
    ++images;
    labelled += prepared[i].mask.empty() ? 0 : 1;
    vessel += static_cast<double>(std::count(prepared[i].mask.begin(), prepared[i].mask.end(), std::uint8_t{1}));
    pixels += static_cast<double>(prepared[i].mask.size());
  }
  Json splits = Json::object();
  for (const auto& [name, n] : counts) splits[name] = {{"images", n.first}, {"labelled", n.second}};
  const Moments moments = moments_of(prepared);
  return {{"splits", splits},
          {"mean", moments.mean},
          {"sd", moments.sd},
          {"vessel_fraction", pixels > 0 ? Json(vessel / pixels) : Json(nullptr)}};
}

std::vector<Record> make_records(const PrepareRequest& request, const std::vector<PreparedItem>& prepared,
                                 const std::vector<std::string>& groups) {
  // The rule divides only what the source leaves open.
  std::vector<std::string> open_groups;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (!request.items[i].split) open_groups.push_back(groups[i]);
  }
  const std::vector<Split> assigned = assign_splits(open_groups, request.rule, request.seed);
  std::size_t next = 0;
  std::vector<Record> records;
  for (std::size_t i = 0; i < prepared.size(); ++i) {
    const Item& item = request.items[i];
    Record& record = records.emplace_back();
    record.id = item.id;
    record.group = groups[i];
    record.source = item.source.empty() ? item.image.string() : item.source;
    record.source_height = prepared[i].source_height;
    record.source_width = prepared[i].source_width;
    record.grid_map = preprocess::to_json(prepared[i].map);
    record.spacing_mm = prepared[i].image.spacing_mm;
    record.split = item.split ? *item.split : assigned[next++];
  }
  return records;
}

void set_folds(std::vector<Record>& records, int folds, std::uint64_t seed) {
  if (folds == 0) return;
  std::vector<std::size_t> train;
  std::vector<std::string> groups;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (records[i].split != Split::kTrain) continue;
    train.push_back(i);
    groups.push_back(records[i].group);
  }
  const std::vector<int> assigned = assign_folds(groups, folds, seed);
  for (std::size_t i = 0; i < train.size(); ++i) records[train[i]].fold = assigned[i];
}

}  // namespace

PreparedItem prepare_item(const Item& item, const preprocess::Options& options) {
  PreparedItem result;
  const image::ImageF grey = read_picture(item, result);
  if (item.has_mask()) {
    image::Mask mask = mask_of(item, result.source_height, result.source_width, result.antialiased_pixels);
    const bool is_square = mask.height() == grey.height() && mask.width() == grey.width();
    if (!is_square) mask = image::resize_nearest(mask, grey.height(), grey.width());
    result.mask = preprocess::prepare_mask(mask, options);
  }
  preprocess::Options steps = options;
  if (steps.normalise == preprocess::Normalise::kDataset) steps.normalise = preprocess::Normalise::kNone;
  preprocess::Prepared prepared = preprocess::prepare_image(grey, steps);
  result.image = std::move(prepared.image);
  result.map = prepared.map;
  return result;
}

void make_ids_unique(std::vector<Item>& items) {
  std::map<std::string, int> uses;
  for (const Item& item : items) ++uses[item.id];
  std::set<std::string> taken;
  for (Item& item : items) {
    if (uses[item.id] > 1) {
      const bool own_group = item.group == item.id;
      item.id = concat(item.split ? to_string(*item.split) : "image", "/", item.id);
      if (own_group) item.group = item.id;
    }
    const std::string base = item.id;
    for (int n = 2; !taken.insert(item.id).second; ++n) item.id = concat(base, "-", n);
  }
}

void group_by_regex(std::vector<Item>& items, const std::string& pattern) {
  std::regex regex;
  try {
    regex = std::regex(pattern);
  } catch (const std::regex_error& e) {
    throw Error(ErrorCode::kInvalidArgument, concat("[prepare] --group-regex '", pattern, "': ", e.what()));
  }
  CMUNET_CHECK(regex.mark_count() >= 1, ErrorCode::kInvalidArgument, "[prepare] --group-regex '", pattern,
               "' has no group in parentheses");
  for (Item& item : items) {
    const std::string name = item.image.filename().string();
    std::smatch match;
    CMUNET_CHECK(std::regex_search(name, match, regex), ErrorCode::kInvalidArgument, "[prepare] file name ", name,
                 " does not match --group-regex '", pattern, "'");
    item.group = match[1].str();
  }
}

Json prepare_store(const PrepareRequest& request, const std::filesystem::path& out) {
  CMUNET_CHECK(!request.items.empty(), ErrorCode::kInvalidArgument, "[prepare] there is no image");
  preprocess::Options preprocessing = request.preprocessing;
  std::vector<PreparedItem> prepared = prepare_all(request);
  std::vector<Thumbnail> thumbnails(prepared.size());
  for_each_parallel(prepared.size(), request.threads,
                    [&](std::size_t i) { thumbnails[i] = thumbnail_of(prepared[i].image); });
  std::vector<std::string> groups;
  for (const Item& item : request.items) groups.push_back(item.group);
  if (request.group_duplicates) join_groups(groups, near_duplicates(thumbnails, {}, request.threads));

  std::vector<Record> records = make_records(request, prepared, groups);
  std::vector<DuplicatePair> duplicates = near_duplicates(thumbnails, split_labels_of(records), request.threads);
  Json dropped = Json::array();
  if (request.drop_duplicates) {
    dropped = drop_duplicates(records, prepared, duplicates);
    duplicates.clear();
  }
  if (preprocessing.normalise == preprocess::Normalise::kDataset) {
    normalise_by_dataset(records, prepared, preprocessing);
  }
  set_folds(records, request.folds, request.seed);
  const std::vector<int> split_labels = split_labels_of(records);
  refuse_torn_groups(records);
  if (!request.allow_duplicates) refuse_duplicates(records, duplicates);
  std::int64_t compared = 0;
  for (std::size_t a = 0; a < split_labels.size(); ++a) {
    compared += std::count_if(split_labels.begin() + static_cast<std::ptrdiff_t>(a), split_labels.end(),
                              [&](int label) { return label != split_labels[a]; });
  }

  StoreWriter writer(out, prepared.front().image.height(), prepared.front().image.width());
  for (std::size_t i = 0; i < prepared.size(); ++i) writer.add(records[i], prepared[i].image, prepared[i].mask);
  Json details = {{"source", request.source},
                  {"preprocessing", preprocess::to_json(preprocessing)},
                  {"seed", request.seed},
                  {"statistics", statistics_of(records, prepared)},
                  {"leakage", leakage_certificate(records, duplicates, compared)}};
  details["leakage"]["dropped"] = dropped;
  writer.finish(details);
  details["images"] = records.size();
  details["height"] = prepared.front().image.height();
  details["width"] = prepared.front().image.width();
  return details;
}

}  // namespace cmunet::dataset
