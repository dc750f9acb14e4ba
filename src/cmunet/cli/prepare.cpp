// SPDX-License-Identifier: Apache-2.0
// `cmunet prepare`: from images as they are to a store that training reads.
#include "cmunet/dataset/prepare.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <thread>

#include "cmunet/base/file.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/command.h"
#include "cmunet/dataset/import.h"

namespace cmunet::cli {
namespace {

constexpr std::array<std::string_view, 5> kOtherSections{"model", "pretrain", "finetune", "tune", "benchmark"};

struct Flags {
  std::vector<std::string> images, masks, splits;
  std::string arcade, dicom, manifest, nnunet, category, group_regex, config, out;
  std::vector<std::string> assignments;
  int folds = 0, frames = 5;
  bool allow_duplicates = false, drop_duplicates = false, group_duplicates = false;
};

// A split's name says where a whole folder goes; anything else is a rule that divides.
std::optional<dataset::Split> whole_split(const std::string& text) {
  const dataset::SplitRule rule = dataset::parse_split_rule(text);
  if (rule.kind != dataset::SplitRule::Kind::kOne) return std::nullopt;
  return rule.one;
}

// Of several --split each stands for one --images folder; one of them may be a rule, which divides its folder's images.
void check_several_splits(const Flags& flags) {
  if (flags.splits.size() < 2) return;
  CMUNET_CHECK(!flags.images.empty() && flags.arcade.empty(), ErrorCode::kInvalidArgument, "[prepare] ",
               flags.splits.size(), " --split were given; this source takes one");
  const auto rules = std::ranges::count_if(flags.splits, [](const std::string& text) { return !whole_split(text); });
  if (rules > 1) {
    throw Error(ErrorCode::kInvalidArgument,
                concat("[prepare] ", rules, " --split are rules; expected one at most, beside names of splits"),
                "images that one rule is to divide may lie in one folder, or stand in a CSV (--manifest)");
  }
}

std::vector<dataset::Item> import_folders(const Flags& flags) {
  const std::size_t n = flags.images.size();
  const auto pairs_up = [n](const std::vector<std::string>& list) { return list.size() <= 1 || list.size() == n; };
  if (!pairs_up(flags.masks) || (flags.masks.size() == 1 && n > 1) || !pairs_up(flags.splits)) {
    throw Error(ErrorCode::kInvalidArgument,
                concat("[prepare] ", n, " --images with ", flags.masks.size(), " --masks and ", flags.splits.size(),
                       " --split"),
                "give one --masks per --images (the word none for unlabelled ones), and one --split or one for each");
  }
  std::vector<dataset::Item> items;
  for (std::size_t i = 0; i < n; ++i) {
    const std::string masks = flags.masks.empty() || flags.masks[i] == "none" ? "" : flags.masks[i];
    std::optional<dataset::Split> split;
    if (!flags.splits.empty()) split = whole_split(flags.splits[flags.splits.size() == 1 ? 0 : i]);
    auto part = dataset::import_folder(flags.images[i], masks, split);
    std::move(part.begin(), part.end(), std::back_inserter(items));
  }
  return items;
}

std::vector<dataset::Item> import_items(const Flags& flags) {
  const int sources = (flags.arcade.empty() ? 0 : 1) + (flags.dicom.empty() ? 0 : 1) +
                      (flags.manifest.empty() ? 0 : 1) + (flags.nnunet.empty() ? 0 : 1) +
                      (flags.images.empty() || !flags.arcade.empty() ? 0 : 1);
  if (sources != 1) {
    throw Error(ErrorCode::kInvalidArgument, concat("[prepare] ", sources, " sources were given; expected one"),
                "use --images (with --masks), --arcade with --images, --dicom, --manifest, or --nnunet");
  }
  check_several_splits(flags);
  if (!flags.dicom.empty()) {
    return dataset::import_dicom(flags.dicom, flags.frames,
                                 flags.splits.empty() ? std::nullopt : whole_split(flags.splits[0]));
  }
  if (!flags.manifest.empty()) return dataset::import_csv(flags.manifest);
  if (!flags.nnunet.empty()) return dataset::import_nnunet(flags.nnunet);
  if (flags.arcade.empty()) return import_folders(flags);
  CMUNET_CHECK(flags.images.size() == 1, ErrorCode::kInvalidArgument, "[prepare] --arcade needs one --images folder");
  return dataset::import_coco(flags.arcade, flags.images[0], flags.category,
                              flags.splits.empty() ? std::nullopt : whole_split(flags.splits[0]));
}

std::string summary_text(const Json& manifest, const std::string& out) {
  std::string text = concat("store: ", out, ", ", manifest["images"].get<std::int64_t>(), " images of ",
                            manifest["height"].get<int>(), "x", manifest["width"].get<int>(), "\n");
  for (const auto& [name, counts] : manifest["statistics"]["splits"].items()) {
    char line[128];
    std::snprintf(line, sizeof line, "  %-9s %6lld images, %6lld labelled\n", name.c_str(),
                  counts["images"].get<long long>(), counts["labelled"].get<long long>());
    text += line;
  }
  if (const Json& fraction = manifest["statistics"]["vessel_fraction"]; fraction.is_number()) {
    char line[64];
    std::snprintf(line, sizeof line, "  vessel fraction %.2f %%\n", 100 * fraction.get<double>());
    text += line;
  }
  const Json& leakage = manifest["leakage"];
  text += concat("  leakage: ", leakage["pairs_compared"].get<std::int64_t>(), " pairs across splits compared, ",
                 leakage["near_duplicates_across_splits"].size(), " near-duplicates, ",
                 leakage["groups_across_splits"].size(), " groups torn apart, ", leakage["dropped"].size(),
                 " images left out\n");
  if (leakage["images_with_known_group"] == 0) {
    text += "  no patient is known: images were divided one by one (see --group-regex, or a CSV's patient column)\n";
  }
  return text + kDisclaimer;
}

Json source_of(const Flags& flags) {
  Json source = Json::object();
  if (!flags.images.empty()) source["images"] = flags.images;
  if (!flags.masks.empty()) source["masks"] = flags.masks;
  if (!flags.splits.empty()) source["split"] = flags.splits;
  if (!flags.arcade.empty()) source["arcade"] = flags.arcade;
  if (!flags.dicom.empty())
    source["dicom"] = {{"frames_per_run", flags.frames}};  // folders are often named by patients
  if (!flags.manifest.empty()) source["manifest"] = flags.manifest;
  if (!flags.nnunet.empty()) source["nnunet"] = flags.nnunet;
  if (!flags.group_regex.empty()) source["group_regex"] = flags.group_regex;
  return source;
}

void run(const Flags& flags, const CommonOptions& common) {
  dataset::PrepareRequest request;
  Fields fields;
  describe(request.preprocessing, fields);
  if (!flags.config.empty()) fields.apply(load_toml(flags.config), flags.config, kOtherSections);
  for (const std::string& assignment : flags.assignments) fields.apply_set(assignment);
  request.preprocessing.check();
  request.items = import_items(flags);
  dataset::make_ids_unique(request.items);
  if (!flags.group_regex.empty()) dataset::group_by_regex(request.items, flags.group_regex);
  for (const std::string& text : flags.splits) {
    if (flags.splits.size() == 1 || !whole_split(text)) request.rule = dataset::parse_split_rule(text);
  }
  request.folds = flags.folds;
  request.seed = common.seed;
  request.threads =
      common.threads > 0 ? common.threads : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  request.allow_duplicates = flags.allow_duplicates;
  request.drop_duplicates = flags.drop_duplicates;
  request.group_duplicates = flags.group_duplicates;
  request.source = source_of(flags);
  check_output_folder(flags.out, common.force);
  if (common.dry_run) {
    const auto labelled = std::ranges::count_if(request.items, &dataset::Item::has_mask);
    const Json plan = {{"images", request.items.size()}, {"labelled", labelled}, {"config", fields.to_json()}};
    print_result(common, plan, plan.dump(2));
    return;
  }
  prepare_output_folder(flags.out, common.force);
  try {
    const Json manifest = dataset::prepare_store(request, flags.out);
    print_result(common, manifest, summary_text(manifest, flags.out));
  } catch (const Error&) {
    std::error_code ignored;
    std::filesystem::remove(flags.out, ignored);  // nothing happens to a folder that holds something
    throw;
  }
}

}  // namespace

void add_prepare(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  const auto repeated = [&](const char* name, std::vector<std::string>& values, const char* help) {
    app.add_option(name, values, help)->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  repeated("--images", flags->images, "folder of images; may be repeated");
  repeated("--masks", flags->masks, "folder of masks of the same names, one per --images; the word none for no masks");
  repeated("--split", flags->splits,
           "pretrain, train, val or test for a whole --images folder; or how to divide: train=0.7,val=0.1,test=0.2, "
           "train=18,test=50, 79:1, sklearn:79:1; of several, one for each --images, one may divide");
  app.add_option("--arcade", flags->arcade, "COCO JSON with polygons (ARCADE), with --images");
  app.add_option("--category", flags->category, "of --arcade: only annotations of this name");
  app.add_option("--dicom", flags->dicom, "folder of DICOM files, or a DICOMDIR: X-ray runs, grouped by patient");
  app.add_option("--frames", flags->frames, "of --dicom: at most so many frames of a run, those with filled arteries")
      ->check(CLI::Range(1, 1000));
  app.add_option("--manifest", flags->manifest, "CSV with columns path, mask, patient, split, spacing");
  app.add_option("--nnunet", flags->nnunet, "folder in nnU-Net's raw layout");
  app.add_option("--group-regex", flags->group_regex,
                 "first group in parentheses, found in the file name, is the patient");
  app.add_option("--folds", flags->folds, "cross-validation folds within the train split")->check(CLI::Range(0, 100));
  auto* allow = app.add_flag("--allow-duplicates", flags->allow_duplicates, "accept near-duplicates across splits");
  app.add_flag("--drop-duplicates", flags->drop_duplicates,
               "leave out one of each pair across splits: from pretrain, then train, then val, never test")
      ->excludes(allow);
  app.add_flag("--group-duplicates", flags->group_duplicates, "keep near-duplicates in one split");
  app.add_option("--config", flags->config, "TOML file; its [prepare] table is read")->check(CLI::ExistingFile);
  repeated("--set", flags->assignments, "key=value, overrides the file; may be repeated");
  app.add_option("--out", flags->out, "folder of the store")->required();
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
