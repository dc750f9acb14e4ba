// SPDX-License-Identifier: Apache-2.0
#include "cmunet/phantom/phantom.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "cmunet/base/version.h"
#include "cmunet/phantom/background.h"
#include "cmunet/phantom/camera.h"
#include "cmunet/phantom/contrast.h"
#include "cmunet/phantom/exposure.h"
#include "cmunet/phantom/tree.h"

namespace cmunet::phantom {
namespace {

// One random stream per part, so that a change in one leaves the others alone.
enum Part : std::uint64_t {
  kArtery = 1,
  kHeart,
  kTree,
  kView,
  kStenosis,
  kInjection,
  kCatheter,
  kBackground,
  kShutter,
  kExposure
};

// Vessels end at this diameter, or at a pixel where that is more: a picture cannot show thinner ones.
constexpr double kThinnestMm = 0.6;

// As written in the truth file, so that the mask can be painted again from it.
double rounded(double v) { return std::round(v * 1000) / 1000; }

Branch truth_of(const TreeBranch& branch, const std::vector<FlatPoint>& flat, double spacing_mm) {
  Branch truth{branch.parent, branch.vessel, {}};
  for (const FlatPoint& p : flat) {
    const double diameter_px = rounded(2 * p.radius_mm / spacing_mm);
    truth.points.push_back({rounded(p.y), rounded(p.x), diameter_px, diameter_px * spacing_mm});
  }
  return truth;
}

// Branches of which every point lies in the opening.
std::vector<int> fully_seen(const std::vector<TreeBranch>& tree, const Camera& camera, const image::Mask& open,
                            double spacing_mm) {
  std::vector<int> seen;
  for (std::size_t b = 0; b < tree.size(); ++b) {
    const auto flat = project(tree[b].points, camera, open.height(), spacing_mm);
    const bool all = std::all_of(flat.begin(), flat.end(), [&](const FlatPoint& p) {
      const int y = static_cast<int>(std::lround(p.y)), x = static_cast<int>(std::lround(p.x));
      return open.contains(y, x) && open.at(y, x) != 0;
    });
    if (all) seen.push_back(static_cast<int>(b));
  }
  return seen;
}

}  // namespace

void Options::check() const {
  const auto require = [](double value, double low, double high, const char* key) {
    CMUNET_CHECK(value >= low && value <= high, ErrorCode::kInvalidArgument, "[phantom] ", key, " is ", value,
                 "; expected ", low, " to ", high);
  };
  require(size, 64, 2048, "size");
  require(field_mm, 20, 400, "field_mm");
  require(photons, 10, 1e6, "photons");
  require(blur_px, 0, 10, "blur_px");
  if (stenosis_percent) require(*stenosis_percent, 1, 99, "stenosis_percent");
  if (stenosis_length_mm) require(*stenosis_length_mm, 2, 20, "stenosis_length_mm");
}

void paint_disc(image::Mask& mask, double y, double x, double radius_px) {
  // Clamped before the conversion: the disc may lie far outside.
  const auto clamped = [](double v, int n) { return static_cast<int>(std::clamp(v, -1.0, static_cast<double>(n))); };
  const int first_y = std::max(0, clamped(std::ceil(y - radius_px), mask.height()));
  const int last_y = std::min(mask.height() - 1, clamped(std::floor(y + radius_px), mask.height()));
  const int first_x = std::max(0, clamped(std::ceil(x - radius_px), mask.width()));
  const int last_x = std::min(mask.width() - 1, clamped(std::floor(x + radius_px), mask.width()));
  for (int py = first_y; py <= last_y; ++py) {
    for (int px = first_x; px <= last_x; ++px) {
      if ((py - y) * (py - y) + (px - x) * (px - x) <= radius_px * radius_px) mask.at(py, px) = 1;
    }
  }
}

Phantom make_phantom(const Options& options, std::uint64_t seed) {
  options.check();
  const Rng root(seed);
  const auto stream = [&](Part part) { return root.fork(part); };
  Rng artery_rng = stream(kArtery), heart_rng = stream(kHeart), tree_rng = stream(kTree), view_rng = stream(kView);
  Rng stenosis_rng = stream(kStenosis), injection_rng = stream(kInjection), catheter_rng = stream(kCatheter);
  Rng background_rng = stream(kBackground), shutter_rng = stream(kShutter), exposure_rng = stream(kExposure);
  const int size = options.size;
  const double spacing_mm = options.field_mm / size;
  Phantom phantom;
  phantom.seed = seed;
  phantom.spacing_mm = {spacing_mm, spacing_mm};
  phantom.artery = artery_rng.bernoulli(0.45) ? Artery::kRight : Artery::kLeft;

  // 1. Geometry.
  const Heart heart = draw_heart(heart_rng);
  std::vector<TreeBranch> tree = grow_tree(phantom.artery, heart, std::max(kThinnestMm, spacing_mm), tree_rng);
  const Camera camera = draw_camera(phantom.artery, tree, options.field_mm, view_rng);
  phantom.view = camera.view;
  phantom.opening = make_collimator(size, shutter_rng);
  if (options.stenosis) {
    const std::vector<int> candidates = fully_seen(tree, camera, phantom.opening, spacing_mm);
    for (const TreeStenosis& s :
         add_stenoses(tree, candidates, options.stenosis_length_mm, options.stenosis_percent, stenosis_rng)) {
      const TreePoint& narrowest = tree[static_cast<std::size_t>(s.branch)].points[s.point];
      const FlatPoint p = project({narrowest}, camera, size, spacing_mm).front();
      phantom.stenoses.push_back({s.branch, rounded(p.y), rounded(p.x), s.length_mm, s.percent, s.minimal_diameter_mm,
                                  s.reference_diameter_mm});
    }
  }
  // 2. Truth.
  std::vector<std::vector<FlatPoint>> flat;
  phantom.mask = image::Mask(size, size);
  phantom.mask.spacing_mm = phantom.spacing_mm;
  for (const TreeBranch& branch : tree) {
    flat.push_back(project(branch.points, camera, size, spacing_mm));
    phantom.branches.push_back(truth_of(branch, flat.back(), spacing_mm));
    for (const CentrelinePoint& p : phantom.branches.back().points) {
      paint_disc(phantom.mask, p.y, p.x, p.diameter_px / 2);
    }
  }
  std::transform(phantom.mask.begin(), phantom.mask.end(), phantom.opening.begin(), phantom.mask.begin(),
                 [](std::uint8_t m, std::uint8_t o) -> std::uint8_t { return m & o; });
  // 3. Picture.
  const auto catheter =
      project(make_catheter(heart, tree.front().points.front().position_mm, catheter_rng), camera, size, spacing_mm);
  image::ImageF attenuation =
      attenuation_of_contrast(tree, flat, catheter, draw_injection(injection_rng), size, spacing_mm);
  const image::ImageF background = make_background(size, options.field_mm, heart, camera, background_rng);
  std::transform(attenuation.begin(), attenuation.end(), background.begin(), attenuation.begin(), std::plus<>());
  phantom.image = expose(attenuation, phantom.opening, options, exposure_rng);
  phantom.image.spacing_mm = phantom.spacing_mm;
  return phantom;
}

Json truth_json(const Phantom& phantom) {
  Json branches = Json::array();
  for (const Branch& branch : phantom.branches) {
    Json points = Json::array();
    for (const CentrelinePoint& p : branch.points) {
      points.push_back({p.y, p.x, p.diameter_px, std::round(p.diameter_mm * 1e6) / 1e6});
    }
    branches.push_back({{"parent", branch.parent}, {"vessel", branch.vessel}, {"points", std::move(points)}});
  }
  Json stenoses = Json::array();
  for (const Stenosis& s : phantom.stenoses) {
    stenoses.push_back({{"branch", s.branch},
                        {"y", s.y},
                        {"x", s.x},
                        {"length_mm", s.length_mm},
                        {"percent", s.percent},
                        {"minimal_diameter_mm", s.minimal_diameter_mm},
                        {"reference_diameter_mm", s.reference_diameter_mm}});
  }
  return {{"format", "cmunet-phantom"},
          {"version", 1},
          {"created_by", concat("cmunet ", kVersion)},
          {"disclaimer", kDisclaimer},
          {"seed", phantom.seed},
          {"artery", phantom.artery == Artery::kRight ? "right" : "left"},
          {"view", {{"lao_deg", phantom.view.lao_deg}, {"cranial_deg", phantom.view.cranial_deg}}},
          {"height", phantom.image.height()},
          {"width", phantom.image.width()},
          {"spacing_mm", {phantom.spacing_mm.row_mm, phantom.spacing_mm.col_mm}},
          {"point_fields", {"y", "x", "diameter_px", "diameter_mm"}},
          {"branches", std::move(branches)},
          {"stenoses", std::move(stenoses)}};
}

}  // namespace cmunet::phantom
