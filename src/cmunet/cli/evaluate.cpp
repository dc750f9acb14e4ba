// SPDX-License-Identifier: Apache-2.0
// `cmunet evaluate`: how well predicted masks agree with true ones. --pred and --target name folders, paired by file
// name; with --model the masks are a model's, of one split of a store (evaluate_model.h).
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/base/parallel.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/command.h"
#include "cmunet/cli/evaluate_model.h"
#include "cmunet/codec/codec.h"
#include "cmunet/metrics/evaluation.h"
#include "cmunet/report/evaluation_report.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::string pred;
  std::string target;
  std::string images;
  std::string out;
  bool ignore_missing = false;
  EvaluateModelFlags of_model;
};

/// The files of one image; `image` is empty when there is none.
struct Case {
  std::string id;
  fs::path pred;
  fs::path target;
  fs::path image;
};

// The image files of a folder by name without extension.
std::map<std::string, fs::path> files_by_stem(const fs::path& dir) {
  CMUNET_CHECK(fs::is_directory(dir), ErrorCode::kNotFound, "[evaluate] ", dir.string(), " is not a folder");
  std::map<std::string, fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir)) {
    if (!entry.is_regular_file() || !codec::is_image_file(entry.path())) continue;
    const auto [other, is_new] = files.emplace(entry.path().stem().string(), entry.path());
    const auto [first, second] = std::minmax(other->second, entry.path());
    CMUNET_CHECK(is_new, ErrorCode::kUnsupported, "[evaluate] ", first.string(), " and ", second.string(),
                 " have one name; expected one file per image");
  }
  return files;
}

// Names in a line, at most ten of them.
std::string listed(std::span<const std::string> names) {
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 10); ++i) text += (i > 0 ? ", " : "") + names[i];
  return names.size() > 10 ? concat(text, " and ", names.size() - 10, " more") : text;
}

// True for the pictures that `predict` puts beside its masks.
bool is_companion(const std::string& stem, const std::map<std::string, fs::path>& preds) {
  for (const std::string_view suffix : {"_overlay", "_probability"}) {
    if (stem.ends_with(suffix) && preds.contains(stem.substr(0, stem.size() - suffix.size()))) return true;
  }
  return false;
}

std::vector<Case> find_cases(const Flags& flags) {
  const std::map<std::string, fs::path> targets = files_by_stem(flags.target);
  const std::map<std::string, fs::path> preds = files_by_stem(flags.pred);
  std::map<std::string, fs::path> images;
  if (!flags.images.empty()) images = files_by_stem(flags.images);
  std::vector<Case> cases;
  std::vector<std::string> missing;
  for (const auto& [stem, path] : targets) {
    const auto pred = preds.find(stem);
    if (pred == preds.end()) {
      missing.push_back(stem);
      continue;
    }
    const auto image = images.find(stem);
    cases.push_back({stem, pred->second, path, image == images.end() ? fs::path() : image->second});
  }
  if (!missing.empty() && !flags.ignore_missing) {
    throw Error(ErrorCode::kNotFound,
                concat("[evaluate] ", missing.size(), " of ", targets.size(), " targets have no prediction in ",
                       flags.pred, ": ", listed(missing)),
                "predictions are paired by file name; --ignore-missing leaves these out");
  }
  if (!missing.empty()) log_warning("[evaluate] left out without a prediction: ", listed(missing));
  CMUNET_CHECK(!cases.empty(), ErrorCode::kNotFound, "[evaluate] no file in ", flags.pred, " has the name of one in ",
               flags.target, "; expected pairs such as a.png and a.png");
  std::vector<std::string> unused;
  for (const auto& [stem, path] : preds) {
    if (!targets.contains(stem) && !is_companion(stem, preds)) unused.push_back(stem);
  }
  if (!unused.empty()) log_warning("[evaluate] predictions without a target, not evaluated: ", listed(unused));
  return cases;
}

// Masks with soft edges, and how many pixels those are; counted on several threads.
struct SoftMasks {
  std::atomic<std::int64_t> masks = 0, pixels = 0;
};

image::Mask read_mask(const fs::path& path, SoftMasks& soft) {
  codec::LabelMask read = codec::mask_of_labels(codec::read_labels(path));
  soft.masks += read.soft_pixels > 0 ? 1 : 0;
  soft.pixels += read.soft_pixels;
  return std::move(read.mask);
}

template <typename Other>
void check_sizes(const image::Mask& target, const fs::path& target_path, const Other& other, const fs::path& path) {
  if (target.height() == other.height() && target.width() == other.width()) return;
  throw Error(ErrorCode::kUnsupported,
              concat("[evaluate] ", path.string(), " is ", other.height(), "x", other.width(), " but ",
                     target_path.string(), " is ", target.height(), "x", target.width(), "; both must have one size"),
              "predict writes masks on the grid of the image it was given: predict from images of the targets' size");
}

report::Example load_masks(const Case& item, SoftMasks& soft) {
  report::Example example{item.id, {}, read_mask(item.pred, soft), read_mask(item.target, soft)};
  check_sizes(example.target, item.target, example.pred, item.pred);
  return example;
}

report::Example load_example(const Case& item) {
  SoftMasks counted_before;
  report::Example example = load_masks(item, counted_before);
  if (item.image.empty()) return example;
  example.image = codec::read_image(item.image).grey;
  check_sizes(example.target, item.target, example.image, item.image);
  return example;
}

metrics::Evaluation evaluate(std::span<const Case> cases, const CommonOptions& common) {
  std::vector<metrics::ImageResult> results(cases.size());
  SoftMasks soft;
  for_each_parallel(cases.size(), common.threads, [&](std::size_t i) {
    const report::Example masks = load_masks(cases[i], soft);
    results[i] = {cases[i].id, metrics::measure(masks.pred, masks.target)};
  });
  codec::warn_of_soft_masks(soft.masks, soft.pixels, "evaluate");
  return metrics::summarise(std::move(results), common.seed);
}

void evaluate_folders(const Flags& flags, const CommonOptions& common) {
  const std::vector<Case> cases = find_cases(flags);
  if (!flags.out.empty()) check_output_folder(flags.out, common.force);
  if (common.dry_run) {
    print_result(common, {{"images", cases.size()}}, concat("would evaluate ", cases.size(), " images"));
    return;
  }
  if (!flags.out.empty()) prepare_output_folder(flags.out, common.force);
  const metrics::Evaluation evaluation = evaluate(cases, common);
  Json source = {{"pred", flags.pred}, {"target", flags.target}, {"seed", common.seed}};
  if (!flags.images.empty()) source["images"] = flags.images;
  if (!flags.out.empty()) {
    std::vector<report::Example> examples;
    for (const std::size_t i : report::pick_examples(evaluation).all()) examples.push_back(load_example(cases[i]));
    const report::PageHead head{"Evaluation", concat(cases.size(), " images: ", flags.pred, " against ", flags.target),
                                ""};
    report::write_evaluation(flags.out, evaluation, examples, {head, source});
    log_info("wrote ", (fs::path(flags.out) / "report.html").string());
  }
  print_result(common, report::evaluation_json(evaluation, source), report::evaluation_text(evaluation));
}

void run(const Flags& flags, const CommonOptions& common) {
  CMUNET_CHECK(!flags.pred.empty() || !flags.of_model.model.empty(), ErrorCode::kInvalidArgument,
               "[evaluate] there is nothing to evaluate; expected --pred and --target, or --model and --store");
  if (flags.of_model.model.empty()) {
    evaluate_folders(flags, common);
  } else {
    evaluate_model(flags.of_model, flags.out, common);
  }
}

}  // namespace

void add_evaluate(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  CLI::Option* pred = app.add_option("--pred", flags->pred, "folder of predicted masks; any value but 0 is vessel");
  CLI::Option* target = app.add_option("--target", flags->target, "folder of true masks, same file names and sizes");
  app.add_option("--images", flags->images, "folder of the angiograms, shown in the report")->needs(pred);
  CLI::Option* model = app.add_option("--model", flags->of_model.model, "instead: model file or run folder");
  CLI::Option* store = app.add_option("--store", flags->of_model.store, "prepared store that the model segments");
  app.add_option("--split", flags->of_model.split, "train, val or test")->capture_default_str()->needs(model);
  for (CLI::Option* option : add_postprocess_flags(app, flags->of_model.postprocess)) option->needs(model);
  app.add_option("--out", flags->out, "folder for evaluation.csv, evaluation.json and report.html");
  app.add_flag("--ignore-missing", flags->ignore_missing, "leave out targets without a prediction")->needs(pred);
  pred->needs(target)->excludes(model);
  target->needs(pred);
  model->needs(store);
  store->needs(model);
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
