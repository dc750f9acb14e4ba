// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/postprocess_flags.h"

#include "cmunet/base/file.h"
#include "cmunet/base/hash.h"
#include "cmunet/base/log.h"
#include "cmunet/base/model_file.h"

namespace cmunet::cli {

std::vector<CLI::Option*> add_postprocess_flags(CLI::App& app, PostprocessFlags& flags) {
  return {
      app.add_option("--postprocess", flags.file,
                     "settings that cmunet postprocess chose; the flags below overrule them")
          ->check(CLI::ExistingFile),
      app.add_option("--threshold", flags.threshold, "vessel above this probability (0.5)"),
      app.add_option("--low-threshold", flags.low_threshold, "also above this where connected to vessel (hysteresis)"),
      app.add_option("--min-area", flags.min_area_px, "remove parts with fewer pixels of the network's grid"),
      app.add_option("--max-gap", flags.max_gap_px, "bridge gaps of up to so many pixels of the network's grid"),
      app.add_flag("--flips", flags.flips, "average four mirror images: four times the work")};
}

std::string model_hash(const std::string& model) { return hash_hex(read_file(find_model_file(model))); }

engine::PostprocessOptions read_postprocessing(const PostprocessFlags& flags, const std::string& model) {
  engine::PostprocessOptions options;
  if (!flags.file.empty()) {
    const Json file = load_json(flags.file);
    options = engine::postprocess_from_json(json_get<Json>(file, "postprocess", flags.file), flags.file);
    if (json_get<std::string>(file, "model_hash", flags.file) != model_hash(model)) {
      log_warning("[postprocess] ", flags.file, " was chosen for other weights than those of ", model);
    }
  }
  options.flips = options.flips || flags.flips;
  if (flags.threshold) options.threshold = *flags.threshold;
  if (flags.low_threshold) options.low_threshold = flags.low_threshold;
  if (flags.min_area_px) options.min_area_px = *flags.min_area_px;
  if (flags.max_gap_px) options.max_gap_px = *flags.max_gap_px;
  options.check();
  return options;
}

}  // namespace cmunet::cli
