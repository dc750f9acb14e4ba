// SPDX-License-Identifier: Apache-2.0
#include "cmunet/phantom/phantom.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cmunet/base/file.h"
#include "cmunet/base/random.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/command.h"
#include "cmunet/codec/codec.h"

namespace cmunet::cli {
namespace {

struct Flags {
  std::string out;
  int count = 1;
  phantom::Options options;
};

image::Image<std::uint8_t> visible(const image::Mask& mask) {
  image::Image<std::uint8_t> bytes(mask.height(), mask.width());
  std::transform(mask.begin(), mask.end(), bytes.begin(), [](std::uint8_t v) -> std::uint8_t { return v != 0 ? 255 : 0; });
  return bytes;
}

void run(const Flags& flags, const CommonOptions& common) {
  flags.options.check();
  const std::filesystem::path out = flags.out;
  const Json summary = {{"disclaimer", kDisclaimer},
                        {"created_by", concat("cmunet ", kVersion)},
                        {"count", flags.count},
                        {"size", flags.options.size},
                        {"spacing_mm", flags.options.field_mm / flags.options.size},
                        {"stenosis", flags.options.stenosis},
                        {"seed", common.seed},
                        {"folders", {{"images", "images/"}, {"masks", "masks/"}, {"truth", "truth/"}}}};
  if (common.dry_run) {
    print_result(common, summary, concat("would write ", flags.count, " phantoms into ", flags.out));
    return;
  }
  prepare_output_folder(out, common.force);
  for (const char* folder : {"images", "masks", "truth"}) std::filesystem::create_directories(out / folder);
  for (int i = 0; i < flags.count; ++i) {
    // Numbered from the seed on: a longer set begins with the shorter one.
    const phantom::Phantom p = phantom::make_phantom(flags.options, Rng(common.seed).fork(static_cast<std::uint64_t>(i)).next());
    char name[32];
    std::snprintf(name, sizeof name, "%04d", i);
    codec::write_png(out / "images" / concat(name, ".png"), p.image);
    codec::write_png(out / "masks" / concat(name, ".png"), visible(p.mask));
    write_file_atomic(out / "truth" / concat(name, ".json"), phantom::truth_json(p).dump());
  }
  save_json(out / "phantoms.json", summary);
  print_result(common, summary, concat("wrote ", flags.count, " synthetic angiograms to ", flags.out,
                                       "/images, their masks and truth beside them\n", kDisclaimer));
}

}  // namespace

void add_phantom(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("--out", flags->out, "output folder")->required();
  app.add_option("--count", flags->count, "how many")->required()->check(CLI::Range(1, 1000000));
  app.add_option("--size", flags->options.size, "side in pixels, 64 to 2048")->capture_default_str();
  app.add_option("--field-mm", flags->options.field_mm, "side of the field of view")->capture_default_str();
  app.add_option("--photons", flags->options.photons, "mean quanta per pixel; fewer is noisier")->capture_default_str();
  app.add_flag("--stenosis", flags->options.stenosis, "narrow some vessels");
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
