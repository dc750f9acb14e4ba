// SPDX-License-Identifier: Apache-2.0
// `cmunet predict`: images, DICOM runs or folders in; mask, overlay and probability map in each one's own size out.
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <system_error>

#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/command.h"
#include "cmunet/cli/image_files.h"
#include "cmunet/cli/model.h"
#include "cmunet/cli/postprocess_flags.h"
#include "cmunet/cli/predict_run.h"
#include "cmunet/cli/prediction_pictures.h"
#include "cmunet/cli/run_name.h"
#include "cmunet/codec/codec.h"
#include "cmunet/dicom/xa.h"
#include "cmunet/engine/segmenter.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::string model;
  std::string out;
  std::vector<std::string> inputs;
  PictureFlags pictures;
  PostprocessFlags postprocess;
  std::string frames = "best";
  bool dicom_seg = false;
  bool dicom_sc = false;
  bool dicom_sr = false;
  bool identify = false;
};

/// What was found in the paths that were given.
struct Inputs {
  std::vector<fs::path> images;
  std::vector<fs::path> runs;
  std::size_t size() const { return images.size() + runs.size(); }
};

void add_folder(const fs::path& folder, Inputs& inputs) {
  const std::vector<fs::path> images = images_in(folder);
  const std::vector<fs::path> runs = dicom::find_runs(folder);
  if (images.empty() && runs.empty()) log_warning("[predict] folder ", folder.string(), " holds no image");
  inputs.images.insert(inputs.images.end(), images.begin(), images.end());
  inputs.runs.insert(inputs.runs.end(), runs.begin(), runs.end());
}

Inputs find_inputs(const std::vector<std::string>& paths) {
  Inputs inputs;
  for (const fs::path path : paths) {
    if (fs::is_directory(path)) {
      add_folder(path, inputs);
    } else if (dicom::is_dicomdir(path)) {
      const std::vector<fs::path> runs = dicom::find_runs(path);
      inputs.runs.insert(inputs.runs.end(), runs.begin(), runs.end());
    } else if (is_dicom(path)) {
      inputs.runs.push_back(path);
    } else {
      inputs.images.push_back(path);  // a file that is not there is reported with the others that cannot be read
    }
  }
  if (inputs.size() == 0) throw Error(ErrorCode::kNotFound, "[predict] there is no image in what was given");
  return inputs;
}

// What names the same file: without links and detours as far as the path exists.
fs::path resolved(const fs::path& path) {
  std::error_code error;
  const fs::path whole = fs::weakly_canonical(fs::absolute(path), error);
  return error ? path : whole;
}

// Endings of a run's files where it has one frame; of several, "_frame017" comes before them.
constexpr std::array kEndings{".png", "_overlay.png", "_probability.png", "_seg.dcm", "_sc.dcm", "_sr.dcm"};

// What results may not be named like.
struct Names {
  std::set<std::string> used;   // by images and runs: what their results' names begin with
  std::set<std::string> files;  // of images and runs, and inputs that lie in the output folder

  bool is_free(const std::string& name) const {
    if (used.contains(name)) return false;
    if (std::ranges::any_of(kEndings, [&](const char* ending) { return files.contains(name + ending); })) return false;
    // One run's frames may be called like another run, or a picture, and the other way round.
    const std::string frames = name + "_frame";
    const auto next = files.lower_bound(frames);
    if (next != files.end() && next->starts_with(frames)) return false;
    const std::size_t at = name.rfind("_frame");
    if (at == std::string::npos || !used.contains(name.substr(0, at))) return true;
    const std::string rest = name.substr(std::min(name.find_first_not_of("0123456789", at + 6), name.size()));
    return !rest.empty() && rest != "_overlay" && rest != "_probability";
  }

  void take_for_run(const std::string& name) {
    used.insert(name);
    for (const char* ending : kEndings) files.insert(name + ending);
  }
};

// Before anything is written: no picture may overwrite another or, --force or not, an input.
Names check_names(const Inputs& inputs, const Flags& flags) {
  Names names;
  std::set<fs::path> given;
  const fs::path out = resolved(flags.out);
  for (const std::vector<fs::path>* paths : {&inputs.images, &inputs.runs}) {
    for (const fs::path& path : *paths) {
      const fs::path& file = *given.insert(resolved(path)).first;
      if (file.parent_path() == out) names.files.insert(file.filename().string());
    }
  }
  std::map<std::string, fs::path> written;
  for (const fs::path& file : inputs.images) {
    names.used.insert(file.stem().string());
    for (const std::string& name : picture_files(file.stem().string(), flags.pictures).all()) {
      const auto [other, is_new] = written.emplace(name, file);
      if (!is_new) {
        throw Error(ErrorCode::kInvalidArgument,
                    concat("[predict] results of ", other->second.string(), " and ", file.string(),
                           " would both be named ", name),
                    "run predict once per folder");
      }
      if (given.contains(resolved(out / name))) {
        throw Error(ErrorCode::kInvalidArgument,
                    concat("[predict] a result would overwrite the input ", (out / name).string()),
                    "choose a folder of its own for --out");
      }
      names.files.insert(name);
    }
  }
  return names;
}

// Runs on a CD are named alike in all folders, so that a second one gets a number.
std::string distinct(const std::string& base, Names& names) {
  std::string name = base;
  for (int i = 2; !names.is_free(name); ++i) name = concat(base, "_", i);
  names.take_for_run(name);
  return name;
}

// Of the run at `index` of all that were found, in the order of study, series and instance.
std::string numbered(std::size_t index) {
  char name[32];
  std::snprintf(name, sizeof name, "run_%05zu", index + 1);
  return name;
}

// Folders are often named after patients.
std::string label_of(const fs::path& file, const Flags& flags) {
  return flags.identify ? file.string() : file.filename().string();
}

Json predict_image(const fs::path& file, const codec::DecodedImage& decoded, const engine::Segmenter& segmenter,
                   const Flags& flags) {
  const engine::Segmentation result = segmenter.segment(decoded.grey);
  Json row = {{"image", label_of(file, flags)}};
  row.update(write_pictures(flags.out, file.stem().string(), decoded.grey, result, flags.pictures));
  return row;
}

Json predict_run_file(const fs::path& file, const dicom::XaRun& run, const std::string& anonymous, Names& names,
                      const engine::Segmenter& segmenter, const Flags& flags, const RunJob& job) {
  const std::string name = distinct(flags.identify ? file_name_of_run(file) : name_of_run(file, run, anonymous), names);
  Json row = predict_run(run, name, segmenter, job, flags.out);
  if (flags.identify) row.update(identity_of_run(file, run));
  return row;
}

// `text` with `label` instead of the file's path: errors name the file, which may be called after the patient.
std::string without_path(std::string text, const fs::path& file, const std::string& label) {
  const std::string path = file.string();
  for (std::size_t at = 0; (at = text.find(path, at)) != std::string::npos; at += label.size()) {
    text.replace(at, path.size(), label);
  }
  return text;
}

// Hands what `read` returns to `work` and appends what that returns; an input that cannot be read is noted, and the
// next one follows. What is written calls the file `label`; the terminal is told its path.
template <typename Read, typename Work>
void attempt(const fs::path& file, const std::string& label, Json& done, Json& failed, const Read& read,
             const Work& work) {
  bool is_read = false;
  try {
    const auto input = read(file);
    is_read = true;
    done.push_back(work(input));
  } catch (const Error& e) {
    // A full disk fails for the rest too; a file that may not be read does not.
    if (is_read && e.code() == ErrorCode::kIo) throw;
    log_warning("skipped ", file.string(), ": ", e.what());
    failed.push_back({{"image", label}, {"error", without_path(e.what(), file, label)}});
  }
}

Json predict_all(const Inputs& inputs, Names names, const engine::Segmenter& segmenter, const Flags& flags,
                 const RunJob& job) {
  Json images = Json::array(), runs = Json::array(), failed = Json::array();
  for (const fs::path& file : inputs.images) {
    attempt(file, label_of(file, flags), images, failed, &codec::read_image,
            [&](const codec::DecodedImage& decoded) { return predict_image(file, decoded, segmenter, flags); });
  }
  for (std::size_t i = 0; i < inputs.runs.size(); ++i) {
    const fs::path& file = inputs.runs[i];
    const std::string anonymous = numbered(i);
    const auto open = [](const fs::path& path) { return dicom::XaRun(path); };
    attempt(file, flags.identify ? file.string() : anonymous, runs, failed, open, [&](const dicom::XaRun& run) {
      return predict_run_file(file, run, anonymous, names, segmenter, flags, job);
    });
  }
  return {{"images", images}, {"runs", runs}, {"failed", failed}};
}

void run(const Flags& flags, const CommonOptions& common) {
  const std::string model_path = flags.model.empty() ? default_model() : flags.model;
  const RunJob job{.frames = parse_frame_choice(flags.frames, "[predict] --frames"),
                   .pictures = flags.pictures,
                   .segmentation = flags.dicom_seg,
                   .secondary_captures = flags.dicom_sc,
                   .report = flags.dicom_sr,
                   .model = fs::path(model_path).stem().string(),
                   .name_result = {}};
  const Inputs inputs = find_inputs(flags.inputs);
  const Names names = check_names(inputs, flags);
  CMUNET_CHECK(!inputs.runs.empty() || !(flags.dicom_seg || flags.dicom_sc || flags.dicom_sr),
               ErrorCode::kInvalidArgument,
               "[predict] a DICOM result needs a DICOM run to belong to; there is none in what was given");
  const Model model = open_model(model_path, common);
  CMUNET_CHECK(model.info.kind == "segmentation", ErrorCode::kInvalidArgument, "[predict] ", model_path, " is a ",
               model.info.kind, " network; expected one from cmunet finetune");
  const preprocess::Options preprocessing = preprocess::options_from_json(model.info.preprocessing, model_path);
  const engine::PostprocessOptions postprocessing = read_postprocessing(flags.postprocess, model_path);
  check_output_folder(flags.out, common.force);
  if (common.dry_run) {
    const Json plan = {{"disclaimer", kDisclaimer},
                       {"images", inputs.images.size()},
                       {"runs", inputs.runs.size()},
                       {"model", model_path},
                       {"out", flags.out}};
    print_result(common, plan,
                 concat("would segment ", inputs.images.size(), " images and ", inputs.runs.size(), " DICOM runs into ",
                        flags.out, "\n", kDisclaimer));
    return;
  }
  prepare_output_folder(flags.out, common.force);
  const engine::Segmenter segmenter(model.engine, preprocessing, postprocessing);
  Json document = {{"disclaimer", kDisclaimer},
                   {"model", fs::path(model_path).filename().string()},
                   {"engine", model.engine->name()},
                   {"threshold", postprocessing.threshold},
                   {"postprocess", engine::to_json(postprocessing)}};
  document.update(predict_all(inputs, names, segmenter, flags, job));
  save_json(fs::path(flags.out) / "predictions.json", document);
  const std::size_t failed = document["failed"].size();
  print_result(common, document,
               concat("segmented ", inputs.size() - failed, " of ", inputs.size(), " images into ", flags.out, "\n",
                      kDisclaimer));
  if (failed > 0) {
    end_incomplete(Error(ErrorCode::kCorrupt,
                         concat("[predict] ", failed, " of ", inputs.size(), " inputs were skipped"),
                         "see the warnings above, or \"failed\" in predictions.json"));
  }
}

}  // namespace

void add_predict(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("--model", flags->model, "model file or run folder; without it the model that comes with the program");
  app.add_option("--out", flags->out, "output folder")->required();
  app.add_flag("--overlay", flags->pictures.overlay, "also write the picture with its vessels marked");
  app.add_flag("--probabilities", flags->pictures.probabilities, "also write the probability map, 255 = certain");
  add_postprocess_flags(app, flags->postprocess);
  app.add_option("--frames", flags->frames,
                 "of a DICOM run: best (where the arteries are filled), all, or a number from 1")
      ->capture_default_str();
  app.add_flag("--dicom-seg", flags->dicom_seg, "also write a DICOM segmentation of each run");
  app.add_flag("--dicom-sc", flags->dicom_sc, "also write the overlays as DICOM secondary captures");
  app.add_flag("--dicom-sr", flags->dicom_sr,
               "also measure the best frame's vessels and write a DICOM structured report");
  app.add_flag("--identify", flags->identify,
               "also say whose runs these are: keep file names that name the patient, and write paths and SOP Instance "
               "UIDs into predictions.json");
  app.add_option("paths", flags->inputs, "images, DICOM runs (files, a DICOMDIR), or folders of them")->required();
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
