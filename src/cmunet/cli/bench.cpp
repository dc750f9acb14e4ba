// SPDX-License-Identifier: Apache-2.0
// `cmunet bench`: how fast the native engine is on this machine, and a signature of what it computes.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <memory>
#include <vector>

#include "cmunet/base/file.h"
#include "cmunet/base/hash.h"
#include "cmunet/base/model_file.h"
#include "cmunet/base/random.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/command.h"
#include "cmunet/engine/layer_profile.h"
#include "cmunet/engine/native_engine.h"
#include "cmunet/engine/onnx_export.h"

namespace cmunet::cli {
namespace {

struct Flags {
  std::string model;
  std::size_t base_width = 16;
  std::vector<int> sizes = {256, 512};
  int repeat = 15;
  bool layers = false;
  std::string onnx;
};

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

image::ImageF random_image(int size, std::uint64_t seed) {
  Rng rng(seed);
  image::ImageF picture(size, size);
  for (float& value : picture) value = static_cast<float>(rng.normal());
  return picture;
}

// A hash of the probabilities in steps of 1/16: the same wherever rounding differs only in the last digits, but for a
// value on the edge of a step.
std::string signature(const image::ImageF& probability) {
  std::vector<std::byte> steps;
  for (const float p : probability) steps.push_back(static_cast<std::byte>(p * 16));
  Hasher hasher;
  hasher.update(std::span<const std::byte>(steps));
  return hasher.hex();
}

Json measure(engine::Engine& engine, const image::ImageF& picture, int repeat) {
  image::ImageF probability = engine.vessel_probability(std::span(&picture, 1)).front();  // warms up
  std::vector<double> times;
  for (int i = 0; i < repeat; ++i) {
    const auto start = std::chrono::steady_clock::now();
    probability = engine.vessel_probability(std::span(&picture, 1)).front();
    times.push_back(milliseconds_since(start));
  }
  std::sort(times.begin(), times.end());
  return {{"size", picture.width()},
          {"median_ms", times[times.size() / 2]},
          {"min_ms", times.front()},
          {"signature", signature(probability)}};
}

// Peak resident memory of this process so far; NaN where the system does not say. (getrusage would count what the
// parent held when it forked.)
double peak_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

engine::UNetWeights weights_of(const Flags& flags, const CommonOptions& common) {
  if (flags.model.empty()) return engine::random_unet_weights(flags.base_width, common.seed);
  return engine::read_unet_weights(SafetensorsFile::open(find_model_file(flags.model)));
}

struct Loaded {
  std::shared_ptr<engine::Engine> engine;
  std::size_t base_width = 0;
  double load_ms = 0;  // reading excluded
};

Loaded load(const Flags& flags, const CommonOptions& common) {
  const engine::UNetWeights weights = weights_of(flags, common);
  if (!flags.onnx.empty()) {
    preprocess::Options preprocessing;
    preprocessing.normalise = preprocess::Normalise::kNone;
    engine::export_onnx(flags.onnx, weights, preprocessing);
  }
  const auto start = std::chrono::steady_clock::now();
  auto engine = engine::make_native_engine(weights, common.threads);
  return {std::move(engine), weights.base_width, milliseconds_since(start)};
}

// GFLOP/s are those of direct convolution, which minimal filtering needs only a part of.
std::string layer_text(int size, const std::vector<engine::LayerTime>& layers) {
  double total_ms = 0;
  for (const engine::LayerTime& layer : layers) total_ms += layer.median_ms;
  std::string text = concat("layers of ", size, "x", size, "    median ms   share    GFLOP/s\n");
  for (const engine::LayerTime& layer : layers) {
    char line[128];
    std::snprintf(line, sizeof line, "%-17s %13.2f %5.1f %% %10.0f\n", layer.name.c_str(), layer.median_ms,
                  100 * layer.median_ms / total_ms, 1000 * layer.gflop / layer.median_ms);
    text += line;
  }
  return text;
}

Json layer_json(const std::vector<engine::LayerTime>& layers) {
  Json rows = Json::array();
  for (const engine::LayerTime& layer : layers) {
    rows.push_back({{"name", layer.name}, {"median_ms", layer.median_ms}, {"gflop", layer.gflop}});
  }
  return rows;
}

void run(const Flags& flags, const CommonOptions& common) {
  if (!flags.onnx.empty()) check_output_file(flags.onnx, common.force);
  if (common.dry_run) {
    const std::string text = flags.onnx.empty() ? "would write nothing" : concat("would write ", flags.onnx);
    return print_result(common, {{"disclaimer", kDisclaimer}, {"onnx", flags.onnx}}, concat(text, "\n", kDisclaimer));
  }
  const Loaded loaded = load(flags, common);
  Json document = {{"disclaimer", kDisclaimer},
                   {"engine", loaded.engine->name()},
                   {"base_width", loaded.base_width},
                   {"load_ms", loaded.load_ms},
                   {"results", Json::array()}};
  std::string text = concat(loaded.engine->name(), ", base width ", loaded.base_width,
                            ", batch 1\n   size   median ms      min ms   images/s  signature\n");
  for (const int size : flags.sizes) {
    const Json row = measure(*loaded.engine, random_image(size, common.seed), flags.repeat);
    const double median = row["median_ms"];
    char line[128];
    std::snprintf(line, sizeof line, "%4dx%-4d %9.2f %11.2f %10.1f  %s\n", size, size, median,
                  row["min_ms"].get<double>(), 1000 / median, row["signature"].get<std::string>().c_str());
    text += line;
    document["results"].push_back(row);
  }
  const double peak = peak_mib();
  document["peak_mib"] = peak;
  if (!std::isnan(peak)) text += concat("largest memory of the program: ", static_cast<int>(peak), " MiB\n");
  if (flags.layers) {  // after the memory was read: this is a second network
    const engine::UNetWeights weights = weights_of(flags, common);
    for (Json& row : document["results"]) {
      const int size = row["size"];
      const auto layers = engine::profile_layers(weights, size, flags.repeat, common.threads);
      row["layers"] = layer_json(layers);
      text += layer_text(size, layers);
    }
  }
  print_result(common, document, text + std::string(kDisclaimer));
}

}  // namespace

void add_bench(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("--model", flags->model, "model file or run folder; without it random weights");
  app.add_option("--base-width", flags->base_width, "of the random network")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--size", flags->sizes, "image sides, px")->check(CLI::Range(1, 8192))->capture_default_str();
  app.add_option("--repeat", flags->repeat, "timed runs per size")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_flag("--layers", flags->layers, "also time each layer; GFLOP/s count what direct convolution would need");
  app.add_option("--onnx", flags->onnx, "also write the network, without normalisation, for another engine to run");
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
