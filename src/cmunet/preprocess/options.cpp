// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <string_view>

#include "cmunet/preprocess/pipeline.h"

namespace cmunet::preprocess {
namespace {

constexpr std::array<std::pair<std::string_view, MaskSmoothing>, 3> kSmoothingNames{
    {{"none", MaskSmoothing::kNone}, {"majority", MaskSmoothing::kMajority}, {"contour", MaskSmoothing::kContour}}};
constexpr std::array<std::pair<std::string_view, Normalise>, 3> kNormaliseNames{
    {{"per_image", Normalise::kPerImage}, {"dataset", Normalise::kDataset}, {"none", Normalise::kNone}}};
constexpr const char* kSection = "prepare";

}  // namespace

void Options::check() const { check_ranges(*this); }

void describe(Options& options, Fields& fields) {
  fields.add("prepare.mask_smoothing", options.mask_smoothing, kSmoothingNames, "what is done to masks first");
  fields.add("prepare.crop", options.crop, "side of the centred square window, px of the source; 0 keeps everything",
             within(0, 32768));
  fields.add("prepare.inpaint_corners", options.inpaint_corners, "fill dark corners of the image field");
  fields.add("prepare.inpaint_threshold", options.inpaint_threshold, "grey (0 to 255) up to which a corner is dark",
             within(0, 255));
  fields.add("prepare.inpaint_corner_frac", options.inpaint_corner_frac,
             "side of the corner squares as a share of the shorter side", within(1e-3, 0.5));
  fields.add("prepare.inpaint_min_pixels", options.inpaint_min_pixels, "fewer dark corner pixels are left alone",
             kNotNegative);
  fields.add("prepare.inpaint_radius_px", options.inpaint_radius_px, "neighbourhood of the filling method, px",
             within(1, 100));
  fields.add("prepare.unsharp", options.unsharp, "raise local contrast by an unsharp mask");
  fields.add("prepare.unsharp_radius", options.unsharp_radius, "standard deviation of its Gaussian, px",
             within(0.1, 1000));
  fields.add("prepare.unsharp_amount", options.unsharp_amount, "its strength; 0 changes nothing", within(0, 100));
  fields.add("prepare.size", options.size, "side of the grid that the network sees, px", within(8, 8192));
  fields.add("prepare.normalise", options.normalise, kNormaliseNames, "how grey values become the network's input");
  fields.add("prepare.dataset_mean", options.dataset_mean, "grey mean for normalise = dataset");
  fields.add("prepare.dataset_sd", options.dataset_sd, "grey standard deviation for normalise = dataset",
             at_least(1e-9));
}

Json to_json(const Options& options) {
  Options copy = options;
  Fields fields;
  describe(copy, fields);
  return fields.to_json().at(kSection);
}

Options options_from_json(const Json& json, const std::string& origin) {
  CMUNET_CHECK(json.is_object(), ErrorCode::kCorrupt, "[", origin, "] preprocessing is not an object");
  Options options;
  const Json expected = to_json(options);
  for (const auto& [key, value] : expected.items()) {
    CMUNET_CHECK(json.contains(key), ErrorCode::kCorrupt, "[", origin, "] preprocessing lacks the key '", key, "'");
  }
  Fields fields;
  describe(options, fields);
  try {
    fields.apply(Json{{kSection, json}}, origin);
    options.check();
  } catch (const Error& error) {  // the same faults in a file that a person did not write
    throw Error(ErrorCode::kCorrupt, concat("[", origin, "] bad preprocessing: ", error.message()), error.hint());
  }
  return options;
}

}  // namespace cmunet::preprocess
