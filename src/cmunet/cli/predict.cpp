// SPDX-License-Identifier: Apache-2.0
// `cmunet predict`: files or folders in; mask, overlay and probability map in each image's own size out.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <set>

#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/command.h"
#include "cmunet/cli/model.h"
#include "cmunet/codec/codec.h"
#include "cmunet/engine/segmenter.h"
#include "cmunet/report/overlay.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::string model;
  std::string out;
  std::vector<std::string> inputs;
  bool overlay = false;
  bool probabilities = false;
  double threshold = 0.5;
};

std::vector<fs::path> find_images(const std::vector<std::string>& inputs) {
  std::vector<fs::path> files;
  for (const fs::path input : inputs) {
    if (fs::is_directory(input)) {
      std::vector<fs::path> found;
      for (const auto& entry : fs::directory_iterator(input)) {
        if (entry.is_regular_file() && codec::is_image_file(entry.path())) found.push_back(entry.path());
      }
      std::sort(found.begin(), found.end());
      if (found.empty()) log_warning("[predict] folder ", input.string(), " holds no image");
      files.insert(files.end(), found.begin(), found.end());
    } else {
      files.push_back(input);  // a file that is not there is reported with the others that cannot be read
    }
  }
  if (files.empty()) throw Error(ErrorCode::kNotFound, "[predict] there is no image in what was given");
  return files;
}

void check_distinct_stems(const std::vector<fs::path>& files) {
  std::set<std::string> stems;
  for (const fs::path& file : files) {
    if (!stems.insert(file.stem().string()).second) {
      throw Error(
          ErrorCode::kInvalidArgument,
          concat("[predict] two inputs are named ", file.stem().string(), "; their masks would overwrite another"),
          "run predict once per folder");
    }
  }
}

image::Image<std::uint8_t> to_bytes(const image::Mask& mask) {
  image::Image<std::uint8_t> bytes(mask.height(), mask.width());
  std::transform(mask.begin(), mask.end(), bytes.begin(), [](std::uint8_t v) { return v != 0 ? 255 : 0; });
  return bytes;
}

image::Image<std::uint8_t> to_bytes(const image::ImageF& probability) {
  image::Image<std::uint8_t> bytes(probability.height(), probability.width());
  std::transform(probability.begin(), probability.end(), bytes.begin(),
                 [](float p) { return static_cast<std::uint8_t>(std::lround(255 * std::clamp(p, 0.0F, 1.0F))); });
  return bytes;
}

Json predict_file(const fs::path& file, const engine::Segmenter& segmenter, const Flags& flags) {
  const codec::DecodedImage decoded = codec::read_image(file);
  const engine::Segmentation result = segmenter.segment(decoded.grey);
  const std::string stem = file.stem().string();
  const fs::path out = flags.out;
  Json row = {{"image", file.string()}, {"mask", (out / (stem + ".png")).string()}};
  codec::write_png(out / (stem + ".png"), to_bytes(result.mask));
  if (flags.overlay) {
    row["overlay"] = (out / (stem + "_overlay.png")).string();
    codec::write_png(out / (stem + "_overlay.png"), report::overlay_mask(decoded.grey, result.mask));
  }
  if (flags.probabilities) {
    row["probability"] = (out / (stem + "_probability.png")).string();
    codec::write_png(out / (stem + "_probability.png"), to_bytes(result.probability));
  }
  const auto vessel = std::count(result.mask.begin(), result.mask.end(), std::uint8_t{1});
  row["height"] = result.mask.height();
  row["width"] = result.mask.width();
  row["vessel_fraction"] = static_cast<double>(vessel) / static_cast<double>(result.mask.size());
  return row;
}

void run(const Flags& flags, const CommonOptions& common) {
  const std::string model_path = flags.model.empty() ? default_model() : flags.model;
  const std::vector<fs::path> files = find_images(flags.inputs);
  check_distinct_stems(files);
  const Model model = open_model(model_path, common);
  CMUNET_CHECK(model.info.kind == "segmentation", ErrorCode::kInvalidArgument, "[predict] ", model_path, " is a ",
               model.info.kind, " network; expected one from cmunet finetune");
  const preprocess::Options preprocessing = preprocess::options_from_json(model.info.preprocessing, model_path);
  if (common.dry_run) {
    const Json plan = {{"images", files.size()}, {"model", model_path}, {"out", flags.out}};
    print_result(common, plan, concat("would segment ", files.size(), " images into ", flags.out));
    return;
  }
  prepare_output_folder(flags.out, common.force);
  const engine::Segmenter segmenter(model.engine, preprocessing, flags.threshold);
  Json images = Json::array(), failed = Json::array();
  for (const fs::path& file : files) {
    try {
      images.push_back(predict_file(file, segmenter, flags));
    } catch (const Error& e) {
      // A full disk fails for the rest too; an unreadable image does not.
      if (e.code() == ErrorCode::kIo) throw;
      log_warning("skipped ", file.string(), ": ", e.what());
      failed.push_back({{"image", file.string()}, {"error", e.what()}});
    }
  }
  const Json document = {{"disclaimer", kDisclaimer},    {"model", model_path}, {"engine", model.engine->name()},
                         {"threshold", flags.threshold}, {"images", images},    {"failed", failed}};
  save_json(fs::path(flags.out) / "predictions.json", document);
  print_result(
      common, document,
      concat("segmented ", images.size(), " of ", files.size(), " images into ", flags.out, "\n", kDisclaimer));
  if (!failed.empty()) {
    throw Error(ErrorCode::kCorrupt, concat("[predict] ", failed.size(), " of ", files.size(), " inputs were skipped"),
                "see the warnings above, or \"failed\" in predictions.json");
  }
}

}  // namespace

void add_predict(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("--model", flags->model, "model file or run folder; without it the model that comes with the program");
  app.add_option("--out", flags->out, "output folder")->required();
  app.add_flag("--overlay", flags->overlay, "also write the picture with its vessels marked");
  app.add_flag("--probabilities", flags->probabilities, "also write the probability map, 255 = certain");
  app.add_option("--threshold", flags->threshold, "vessel above this probability")->capture_default_str();
  app.add_option("paths", flags->inputs, "images, or folders of images")->required();
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
