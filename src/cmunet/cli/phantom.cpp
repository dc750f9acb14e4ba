// SPDX-License-Identifier: Apache-2.0
// `cmunet phantom --out DIR --count N`: synthetic angiograms with their exact masks and truth files.
#include "cmunet/phantom/phantom.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/base/number.h"
#include "cmunet/base/parallel.h"
#include "cmunet/base/random.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/command.h"
#include "cmunet/codec/codec.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::string out;
  int count = 1;
  phantom::Options options;
};

// 0 and 255, so that a mask shows in any viewer.
image::Image<std::uint8_t> visible(const image::Mask& mask) {
  image::Image<std::uint8_t> bytes(mask.height(), mask.width());
  std::transform(mask.begin(), mask.end(), bytes.begin(),
                 [](std::uint8_t v) -> std::uint8_t { return v != 0 ? 255 : 0; });
  return bytes;
}

std::string id_of(int i) {
  char id[16];
  std::snprintf(id, sizeof id, "%04d", i);
  return id;
}

// Whether an earlier call wrote the truth at `path`, of the phantom with this number in its name.
std::optional<std::string> id_of_truth(const fs::path& path) {
  const std::string id = path.stem().string();
  const std::optional<int> number = parse_number<int>(id);
  if (path.extension() != ".json" || !number || *number < 0 || id != id_of(*number)) return std::nullopt;
  const Json truth = Json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  const bool is_own = truth.is_object() && truth.value("format", "") == "cmunet-phantom";
  return is_own ? std::optional(id) : std::nullopt;
}

// Removes the set that an earlier call wrote into `out`: of a longer one, phantoms would stay that the new manifest
// does not know. The manifest goes first, since it marks a complete set; files of others stay.
void remove_old_set(const fs::path& out) {
  try {
    fs::remove(out / "phantoms.json");
    if (!fs::is_directory(out / "truth")) return;
    std::vector<std::string> ids;
    for (const auto& entry : fs::directory_iterator(out / "truth")) {
      if (const auto id = id_of_truth(entry.path())) ids.push_back(*id);
    }
    for (const std::string& id : ids) {
      fs::remove(out / "images" / (id + ".png"));
      fs::remove(out / "masks" / (id + ".png"));
      fs::remove(out / "truth" / (id + ".json"));
    }
  } catch (const fs::filesystem_error& e) {
    throw Error(ErrorCode::kIo, concat("[phantom] the older set in ", out.string(), " cannot be removed: ", e.what()));
  }
}

Json optional_json(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

Json summary_of(const Flags& flags, std::uint64_t seed) {
  const phantom::Options& o = flags.options;
  return {{"format", "cmunet-phantoms"},
          {"version", 1},
          {"disclaimer", kDisclaimer},
          {"created_by", concat("cmunet ", kVersion)},
          {"synthetic", true},
          {"count", flags.count},
          {"seed", seed},
          {"size", o.size},
          {"field_mm", o.field_mm},
          {"spacing_mm", o.field_mm / o.size},
          {"photons", o.photons},
          {"blur_px", o.blur_px},
          {"stenosis", o.stenosis},
          {"stenosis_percent", optional_json(o.stenosis_percent)},
          {"stenosis_length_mm", optional_json(o.stenosis_length_mm)},
          {"folders", {{"images", "images/"}, {"masks", "masks/"}, {"truth", "truth/"}}}};
}

// Writes the three files of phantom i and returns its row of the manifest.
Json write_phantom(const Flags& flags, std::uint64_t seed, int i) {
  // Each has a seed of its own: a longer set begins with the shorter one, whatever thread makes which.
  const std::uint64_t own_seed = Rng(seed).fork(static_cast<std::uint64_t>(i)).next();
  const phantom::Phantom p = phantom::make_phantom(flags.options, own_seed);
  const fs::path out = flags.out;
  const std::string id = id_of(i);
  codec::write_png(out / "images" / (id + ".png"), p.image);
  codec::write_png(out / "masks" / (id + ".png"), visible(p.mask));
  write_file_atomic(out / "truth" / (id + ".json"), phantom::truth_json(p).dump() + "\n");
  const auto vessel = static_cast<double>(std::count(p.mask.begin(), p.mask.end(), std::uint8_t{1}));
  return {{"id", id},
          {"artery", p.artery == phantom::Artery::kRight ? "right" : "left"},
          {"lao_deg", p.view.lao_deg},
          {"cranial_deg", p.view.cranial_deg},
          {"vessel_fraction", vessel / static_cast<double>(p.mask.size())},
          {"stenoses", p.stenoses.size()}};
}

std::vector<Json> write_phantoms(const Flags& flags, const CommonOptions& common) {
  std::vector<Json> rows(static_cast<std::size_t>(flags.count));
  std::atomic<int> done = 0;
  for_each_parallel(rows.size(), common.threads, [&](std::size_t i) {
    rows[i] = write_phantom(flags, common.seed, static_cast<int>(i));
    if (const int count = ++done; count % 100 == 0) log_info("phantom ", count, " of ", flags.count);
  });
  return rows;
}

void run(const Flags& flags, const CommonOptions& common) {
  flags.options.check();
  Json summary = summary_of(flags, common.seed);
  check_output_folder(flags.out, common.force);
  if (common.dry_run) {
    print_result(
        common, summary,
        concat("would write ", flags.count, " synthetic angiograms of ", flags.options.size, "x", flags.options.size,
               " px to ", flags.out, "/images, their masks and truth beside them\n", kDisclaimer));
    return;
  }
  const fs::path out = flags.out;
  prepare_output_folder(out, common.force);
  remove_old_set(out);
  for (const char* folder : {"images", "masks", "truth"}) prepare_output_folder(out / folder, true);
  const std::vector<Json> rows = write_phantoms(flags, common);
  const auto without = std::ranges::count_if(rows, [](const Json& row) { return row["stenoses"] == 0; });
  if (flags.options.stenosis && without > 0) {
    log_warning("[phantom] ", without, " of ", flags.count,
                " phantoms have no stenosis: no branch that is wholly in the picture has room for one");
  }
  summary["images"] = rows;
  save_json(out / "phantoms.json", summary);
  print_result(common, summary,
               concat("wrote ", flags.count, " synthetic angiograms to ", flags.out,
                      "/images, their masks and truth beside them\n", kDisclaimer));
}

}  // namespace

void add_phantom(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  phantom::Options& o = flags->options;
  app.add_option("--out", flags->out, "output folder")->required();
  app.add_option("--count", flags->count, "how many")->required()->check(CLI::Range(1, 1000000));
  app.add_option("--size", o.size, "side in pixels, 64 to 2048")->capture_default_str();
  app.add_option("--field-mm", o.field_mm, "side of the field of view at the heart, 20 to 400")->capture_default_str();
  app.add_option("--photons", o.photons, "quanta per pixel of a 512-px picture; fewer is noisier")
      ->capture_default_str();
  app.add_option("--blur-px", o.blur_px, "focal blur in a 512-px picture, 0 to 10")->capture_default_str();
  app.add_flag("--stenosis", o.stenosis, "narrow one to three vessels");
  app.add_option("--stenosis-percent", o.stenosis_percent, "of the diameter, 1 to 99; default: drawn for each");
  app.add_option("--stenosis-length-mm", o.stenosis_length_mm, "2 to 20; default: drawn for each");
  app.callback([flags, &common] {
    // Asking for a depth or a length asks for stenoses.
    phantom::Options& options = flags->options;
    options.stenosis = options.stenosis || options.stenosis_percent || options.stenosis_length_mm;
    run(*flags, common);
  });
}

}  // namespace cmunet::cli
