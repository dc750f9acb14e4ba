// SPDX-License-Identifier: Apache-2.0
// `cmunet info PATH`: what a model, a run, a store or a safetensors file is, from names, shapes and the description in
// the file.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>

#include "cmunet/base/safetensors.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/check_engine.h"
#include "cmunet/cli/command.h"
#include "cmunet/dataset/store.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t dim : shape) text += (text.empty() ? "" : "x") + std::to_string(dim);
  return "[" + text + "]";
}

bool is_buffer(const std::string& name) {
  return name.ends_with("running_mean") || name.ends_with("running_var") || name.ends_with("num_batches_tracked");
}

// How many times a UNet module's output is smaller than the input: down_conv3 -> 4, the bottleneck -> 16; 1 for names
// that are none of a UNet.
std::int64_t scale_of(const std::string& module) {
  const bool levelled = module.starts_with("down_conv") || module.starts_with("up_conv");
  if (levelled && module.back() >= '1' && module.back() <= '4') return std::int64_t{1} << (module.back() - '1');
  return module == "double_conv" ? 16 : 1;
}

struct ModuleRow {
  std::int64_t tensors = 0, parameters = 0;
  double macs = 0;
  std::int64_t out_channels = 0;
};

// Parameters and multiply-accumulates of each part of a UNet file, from its tensors alone.
std::vector<std::pair<std::string, ModuleRow>> module_rows(const SafetensorsFile& file, std::int64_t height,
                                                           std::int64_t width) {
  std::vector<std::pair<std::string, ModuleRow>> rows;
  for (const TensorRef& tensor : file.tensors()) {
    if (is_buffer(tensor.name)) continue;
    const std::string module = tensor.name.substr(0, tensor.name.find('.'));
    auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.first == module; });
    if (row == rows.end()) row = rows.insert(rows.end(), {module, {}});
    ++row->second.tensors;
    row->second.parameters += tensor.element_count();
    if (tensor.shape.size() != 4) continue;
    const std::int64_t scale = scale_of(module);
    const std::int64_t rows_at_scale = height / scale, cols_at_scale = width / scale;
    const auto pixels = static_cast<double>(rows_at_scale * cols_at_scale);
    // A transposed 2×2 convolution with stride 2 applies one tap per output pixel; its weight is [in, out, 2, 2].
    const bool transposed = tensor.name.find("up_sample") != std::string::npos;
    row->second.macs += static_cast<double>(tensor.element_count()) * pixels / (transposed ? 4 : 1);
    row->second.out_channels = transposed ? tensor.shape[1] : tensor.shape[0];
  }
  return rows;
}

Json describe_model(const fs::path& path, const SafetensorsFile& file) {
  const std::string origin = path.string();
  const Json model = parse_json(file.metadata().at("cmunet"), origin);
  const auto height = json_get<std::int64_t>(model, "height", origin);
  const auto width = json_get<std::int64_t>(model, "width", origin);
  CMUNET_CHECK(height > 0 && width > 0, ErrorCode::kCorrupt, "[info] ", origin, " has size ", height, "x", width);
  Json modules = Json::array();
  std::int64_t parameters = 0;
  double macs = 0;
  for (const auto& [name, row] : module_rows(file, height, width)) {
    const std::int64_t scale = scale_of(name);
    modules.push_back({{"name", name},
                       {"output_shape", {row.out_channels, height / scale, width / scale}},
                       {"parameters", row.parameters},
                       {"gflop", 2 * row.macs / 1e9}});
    parameters += row.parameters;
    macs += row.macs;
  }
  Json document = {{"type", "model"}, {"path", origin}};
  for (const char* key : {"kind", "method", "architecture", "height", "width", "preprocessing", "created_by"}) {
    if (model.contains(key)) document[key] = model[key];
  }
  document["modules"] = modules;
  document["parameters"] = {{"trainable", parameters}, {"frozen", 0}, {"total", parameters}};
  document["gflop_per_image"] = 2 * macs / 1e9;
  const Json details = model.value("details", Json::object());
  if (details.contains("modules")) {
    document["training_modules"] = details["modules"];  // pre-training trains more than it hands on
    std::int64_t trainable = 0, frozen = 0;
    for (const Json& row : details["modules"]) {
      trainable += json_get<std::int64_t>(row, "trainable", origin);
      frozen += json_get<std::int64_t>(row, "frozen", origin);
    }
    document["training_parameters"] = {{"trainable", trainable}, {"frozen", frozen}, {"total", trainable + frozen}};
  }
  document["training"] = details;
  return document;
}

Json describe_tensors(const fs::path& path, const SafetensorsFile& file) {
  Json tensors = Json::array();
  for (const TensorRef& t : file.tensors()) {
    tensors.push_back({{"name", t.name}, {"dtype", to_string(t.dtype)}, {"shape", t.shape}});
  }
  return {{"type", file.metadata().contains("cmunet_state") ? "training state" : "safetensors"},
          {"path", path.string()},
          {"tensors", tensors}};
}

Json describe_store(const fs::path& path) {
  const dataset::Store store = dataset::Store::open(path);
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> splits;  // images, labelled
  for (const dataset::Record& record : store.records()) {
    auto& [images, labelled] = splits[std::string(dataset::to_string(record.split))];
    ++images;
    labelled += record.has_mask ? 1 : 0;
  }
  Json rows = Json::object();
  for (const auto& [name, counts] : splits) rows[name] = {{"images", counts.first}, {"labelled", counts.second}};
  return {{"type", "store"},
          {"path", path.string()},
          {"images", store.records().size()},
          {"height", store.height()},
          {"width", store.width()},
          {"splits", rows},
          {"preprocessing", store.manifest().value("preprocessing", Json())},
          {"content_hash", store.content_hash()}};
}

Json describe_file(const fs::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  return file.metadata().contains("cmunet") ? describe_model(path, file) : describe_tensors(path, file);
}

Json describe_path(const fs::path& path) {
  if (!fs::exists(path)) throw Error(ErrorCode::kNotFound, concat("[info] ", path.string(), " does not exist"));
  if (!fs::is_directory(path)) return describe_file(path);
  if (fs::exists(path / "manifest.json")) return describe_store(path);
  for (const char* name : {"best.safetensors", "last.safetensors"}) {
    const fs::path model = path / "checkpoints" / name;
    if (!fs::exists(model)) continue;
    Json document = describe_file(model);
    if (fs::exists(path / "run.json")) document["run"] = load_json(path / "run.json");
    return document;
  }
  throw Error(ErrorCode::kNotFound, concat("[info] folder ", path.string(), " holds neither a store nor a run"),
              "expected manifest.json, or checkpoints/ with a model, in it");
}

std::string line(const char* format, auto... values) {
  char text[256];
  std::snprintf(text, sizeof text, format, values...);
  return std::string(text) + "\n";
}

std::string model_text(const Json& d) {
  std::string text =
      concat(d["path"].get<std::string>(), "\n", d["kind"].get<std::string>(), " UNet, method ",
             d["method"].get<std::string>(), ", base width ", d["architecture"]["base_width"].get<std::int64_t>(), ", ",
             d["height"].get<int>(), "x", d["width"].get<int>(), "\n\n");
  text += line("%-14s %-16s %12s %10s", "module", "output", "parameters", "GFLOP");
  for (const Json& row : d["modules"]) {
    text += line("%-14s %-16s %12lld %10.3f", row["name"].get<std::string>().c_str(),
                 shape_text(row["output_shape"].get<std::vector<std::int64_t>>()).c_str(),
                 row["parameters"].get<long long>(), row["gflop"].get<double>());
  }
  text += line("%-14s %-16s %12lld %10.3f", "total", "", d["parameters"]["total"].get<long long>(),
               d["gflop_per_image"].get<double>());
  if (d.contains("training_modules")) {
    text += "\n" + line("%-20s %14s %14s", "pre-training part", "trainable", "frozen");
    for (const Json& row : d["training_modules"]) {
      text += line("%-20s %14lld %14lld", row["name"].get<std::string>().c_str(), row["trainable"].get<long long>(),
                   row["frozen"].get<long long>());
    }
    const Json& sum = d["training_parameters"];
    text += line("%-20s %14lld %14lld", "total", sum["trainable"].get<long long>(), sum["frozen"].get<long long>());
  }
  const Json& training = d["training"];
  if (training.contains("best_val_dice")) {
    text += line("\nvalidation Dice %.4f at step %lld", training["best_val_dice"].get<double>(),
                 training["best_step"].get<long long>());
  }
  return text;
}

std::string store_text(const Json& d) {
  std::string text = concat(d["path"].get<std::string>(), "\nstore of ", d["images"].get<std::int64_t>(), " images, ",
                            d["height"].get<int>(), "x", d["width"].get<int>(), "\n");
  for (const auto& [name, row] : d["splits"].items()) {
    text += line("  %-9s %6lld images, %6lld labelled", name.c_str(), row["images"].get<long long>(),
                 row["labelled"].get<long long>());
  }
  return text;
}

std::string tensors_text(const Json& d) {
  std::string text = concat(d["path"].get<std::string>(), "\n", d["type"].get<std::string>(), " with ",
                            d["tensors"].size(), " tensors\n");
  for (const Json& t : d["tensors"]) {
    text += line("  %-60s %-5s %s", t["name"].get<std::string>().c_str(), t["dtype"].get<std::string>().c_str(),
                 shape_text(t["shape"].get<std::vector<std::int64_t>>()).c_str());
  }
  return text;
}

struct Flags {
  std::vector<std::string> paths;
  bool check_engine = false;
};

void run(const Flags& flags, const CommonOptions& common) {
  if (flags.check_engine) {
    check_engine(flags.paths.front(), {flags.paths.begin() + 1, flags.paths.end()}, common);
    return;
  }
  CMUNET_CHECK(flags.paths.size() == 1, ErrorCode::kInvalidArgument, "[info] ", flags.paths.size(),
               " paths were given; expected one");
  Json document = describe_path(flags.paths.front());
  document["disclaimer"] = kDisclaimer;
  const std::string type = document["type"];
  const std::string text = type == "model"   ? model_text(document)
                           : type == "store" ? store_text(document)
                                             : tensors_text(document);
  print_result(common, document, text + kDisclaimer);
}

}  // namespace

void add_info(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("path", flags->paths, "model file, run folder, store or safetensors file")->required();
  app.add_flag(
      "--check-engine", flags->check_engine,
      "compare two engines: path is a model, images or folders of images follow; with --device LibTorch is one");
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
