// SPDX-License-Identifier: Apache-2.0
#include "cmunet/phantom/phantom.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "cmunet/base/version.h"
#include "cmunet/phantom/background.h"
#include "cmunet/phantom/tree.h"

namespace cmunet::phantom {
namespace {

constexpr double kMaxPointGapPx = 0.5;
constexpr double kContrastPerMm = 0.20;   // attenuation of contrast medium
constexpr double kFadeMm = 260;           // contrast thins out distally
constexpr double kCatheterMm = 2.0;       // 6 French

// A view: two rotations about the patient's axes, then parallel projection. Returns (y, x) in millimetres.
struct View {
  double lao_rad, cranial_rad;
  std::pair<double, double> project(const Vec3& p) const {
    const double x = std::cos(lao_rad) * p[0] + std::sin(lao_rad) * p[2];
    const double z = -std::sin(lao_rad) * p[0] + std::cos(lao_rad) * p[2];
    const double y = std::cos(cranial_rad) * p[1] - std::sin(cranial_rad) * z;
    return {y, x};
  }
};

View draw_view(Artery artery, Rng& rng) {
  const double degree = std::numbers::pi / 180;
  if (artery == Artery::kRight) return {rng.uniform(-50, 50) * degree, rng.uniform(-20, 30) * degree};
  return {rng.uniform(-60, 55) * degree, rng.uniform(-35, 40) * degree};
}

// Projected points of a tree branch before resampling; along_mm runs from the ostium.
struct FlatPoint {
  double y, x, radius_mm, along_mm;
};

std::vector<std::vector<FlatPoint>> project_tree(const std::vector<TreeBranch>& tree, const View& view, int size,
                                                 double spacing_mm, Rng& rng) {
  double low_y = 1e9, high_y = -1e9, low_x = 1e9, high_x = -1e9;
  for (const TreeBranch& branch : tree) {
    for (const TreePoint& p : branch.points) {
      const auto [y, x] = view.project(p.position_mm);
      low_y = std::min(low_y, y), high_y = std::max(high_y, y);
      low_x = std::min(low_x, x), high_x = std::max(high_x, x);
    }
  }
  const double centre_y = (low_y + high_y) / 2 + rng.uniform(-6, 6), centre_x = (low_x + high_x) / 2 + rng.uniform(-6, 6);
  const double middle = (size - 1) / 2.0;
  std::vector<std::vector<FlatPoint>> flat;
  for (const TreeBranch& branch : tree) {
    auto& points = flat.emplace_back();
    for (const TreePoint& p : branch.points) {
      const auto [y, x] = view.project(p.position_mm);
      points.push_back({middle + (y - centre_y) / spacing_mm, middle + (x - centre_x) / spacing_mm, p.radius_mm,
                        p.from_ostium_mm});
    }
  }
  return flat;
}

// Adds points so that neighbours are at most half a pixel apart.
std::vector<FlatPoint> resampled(const std::vector<FlatPoint>& points) {
  std::vector<FlatPoint> dense{points.front()};
  for (std::size_t i = 1; i < points.size(); ++i) {
    const FlatPoint &a = points[i - 1], &b = points[i];
    const int parts = std::max(1, static_cast<int>(std::ceil(std::hypot(b.y - a.y, b.x - a.x) / kMaxPointGapPx)));
    for (int k = 1; k <= parts; ++k) {
      const double t = static_cast<double>(k) / parts;
      dense.push_back({a.y + t * (b.y - a.y), a.x + t * (b.x - a.x), a.radius_mm + t * (b.radius_mm - a.radius_mm),
                       a.along_mm + t * (b.along_mm - a.along_mm)});
    }
  }
  return dense;
}

// Calls visit(y, x, d²) for the pixels of a disc.
template <typename Visit>
void for_disc(int height, int width, double cy, double cx, double radius, const Visit& visit) {
  const int first_y = std::max(0, static_cast<int>(std::ceil(cy - radius)));
  const int last_y = std::min(height - 1, static_cast<int>(std::floor(cy + radius)));
  const int first_x = std::max(0, static_cast<int>(std::ceil(cx - radius)));
  const int last_x = std::min(width - 1, static_cast<int>(std::floor(cx + radius)));
  for (int y = first_y; y <= last_y; ++y) {
    for (int x = first_x; x <= last_x; ++x) {
      const double d2 = (y - cy) * (y - cy) + (x - cx) * (x - cx);
      if (d2 <= radius * radius) visit(y, x, d2);
    }
  }
}

// Contrast along each ray. Within a vessel (a branch with the branches that continue it) the longest chord counts, so
// that its own overlapping discs are not added up; different vessels that cross do add up.
class Contrast {
 public:
  Contrast(int size, double spacing_mm) : total_(size, size), vessel_(size, size), spacing_mm_(spacing_mm) {}

  void begin_vessel() { touched_.clear(); }

  void add_point(const FlatPoint& p) {
    const double radius_px = p.radius_mm / spacing_mm_;
    const double fade = std::exp(-p.along_mm / kFadeMm);
    // Thin vessels are narrower than a pixel's diagonal: at least the nearest pixel must see them.
    for_disc(total_.height(), total_.width(), p.y, p.x, std::max(radius_px, 0.75), [&](int y, int x, double d2) {
      const double half = std::sqrt(std::max(0.0, radius_px * radius_px - d2)) * spacing_mm_;
      const auto attenuation = static_cast<float>(kContrastPerMm * fade * 2 * half);
      float& seen = vessel_.at(y, x);
      if (seen == 0) touched_.emplace_back(y, x);
      seen = std::max(seen, attenuation);
    });
  }

  void end_vessel() {
    for (const auto& [y, x] : touched_) {
      total_.at(y, x) += vessel_.at(y, x);
      vessel_.at(y, x) = 0;
    }
  }

  const image::ImageF& total() const { return total_; }

 private:
  image::ImageF total_, vessel_;
  double spacing_mm_;
  std::vector<std::pair<int, int>> touched_;
};

image::ImageF contrast_of(const std::vector<TreeBranch>& tree, const std::vector<std::vector<FlatPoint>>& dense, int size,
                          double spacing_mm) {
  Contrast contrast(size, spacing_mm);
  std::vector<int> continuation(tree.size(), -1);
  for (std::size_t b = 0; b < tree.size(); ++b) {
    if (tree[b].continues_parent) continuation[static_cast<std::size_t>(tree[b].parent)] = static_cast<int>(b);
  }
  for (std::size_t b = 0; b < tree.size(); ++b) {
    if (tree[b].continues_parent) continue;  // drawn with the vessel it continues
    contrast.begin_vessel();
    for (int part = static_cast<int>(b); part >= 0; part = continuation[static_cast<std::size_t>(part)]) {
      const auto& points = dense[static_cast<std::size_t>(part)];
      const bool leaves_parent = part == static_cast<int>(b) && tree[b].parent >= 0;
      const FlatPoint origin = points.front();
      const double parent_px =
          leaves_parent ? dense[static_cast<std::size_t>(tree[b].parent)].back().radius_mm / spacing_mm : 0;
      for (const FlatPoint& p : points) {
        // Inside the parent its contrast is already there.
        if (leaves_parent && std::hypot(p.y - origin.y, p.x - origin.x) < parent_px) continue;
        contrast.add_point(p);
      }
    }
    contrast.end_vessel();
  }
  return contrast.total();
}

image::Image<std::uint8_t> expose(const image::ImageF& attenuation, const image::Mask& open, const Options& options,
                                  Rng& rng) {
  const int size = attenuation.height();
  image::ImageF quanta(size, size);
  std::transform(attenuation.begin(), attenuation.end(), quanta.begin(), [&](float a) {
    return static_cast<float>(options.photons * std::exp(-static_cast<double>(a)));
  });
  quanta = gaussian_blur(quanta, options.blur_px * size / 512);
  for (float& v : quanta) v = static_cast<float>(rng.poisson(static_cast<double>(v)));
  quanta = gaussian_blur(quanta, 0.55);  // light spreads in the detector: noise of neighbours is related
  // The brightest of the open field becomes almost white, as automatic exposure does.
  std::vector<float> seen;
  for (std::size_t i = 0; i < quanta.size(); ++i) {
    if (open.data()[i] != 0) seen.push_back(quanta.data()[i]);
  }
  const auto near_top = seen.begin() + static_cast<std::ptrdiff_t>(seen.size() * 99 / 100);
  std::nth_element(seen.begin(), near_top, seen.end());
  const double white = static_cast<double>(*near_top);
  const double gamma = rng.uniform(0.9, 1.25), top = rng.uniform(190, 235), shutter = rng.uniform(4, 24);
  image::Image<std::uint8_t> image(size, size);
  for (std::size_t i = 0; i < image.size(); ++i) {
    const double v = top * std::pow(static_cast<double>(quanta.data()[i]) / white, gamma);
    const double shown = open.data()[i] != 0 ? v : shutter + 0.02 * v;
    image.data()[i] = static_cast<std::uint8_t>(std::lround(std::clamp(shown, 0.0, 255.0)));
  }
  return image;
}

}  // namespace

void Options::check() const {
  const auto require = [](bool ok, const char* key, double value, const char* expected) {
    CMUNET_CHECK(ok, ErrorCode::kInvalidArgument, "[phantom] ", key, " is ", value, "; must be ", expected);
  };
  require(size >= 64 && size <= 2048, "size", size, "in 64…2048");
  require(field_mm >= 20 && field_mm <= 400, "field_mm", field_mm, "in 20…400");
  require(photons >= 10, "photons", photons, "at least 10");
  require(blur_px > 0 && blur_px <= 8, "blur_px", blur_px, "in (0, 8]");
}

void paint_disc(image::Mask& mask, double y, double x, double radius_px) {
  for_disc(mask.height(), mask.width(), y, x, radius_px, [&](int py, int px, double) { mask.at(py, px) = 1; });
}

Phantom make_phantom(const Options& options, std::uint64_t seed) {
  options.check();
  const Rng root(seed);
  Rng shape = root.fork(1), view_rng = root.fork(2), scene = root.fork(3), exposure = root.fork(4);
  Phantom phantom;
  phantom.seed = seed;
  phantom.artery = shape.bernoulli(0.5) ? Artery::kRight : Artery::kLeft;
  const double spacing_mm = options.field_mm / options.size;
  phantom.spacing_mm = {spacing_mm, spacing_mm};

  std::vector<TreeBranch> tree = grow_tree(phantom.artery, shape);
  std::vector<TreeStenosis> stenoses;
  if (options.stenosis) stenoses = add_stenoses(tree, shape);
  const View view = draw_view(phantom.artery, view_rng);
  const auto flat = project_tree(tree, view, options.size, spacing_mm, view_rng);
  for (const TreeStenosis& s : stenoses) {
    const FlatPoint& p = flat[static_cast<std::size_t>(s.branch)][s.point];
    phantom.stenoses.push_back({s.branch, p.y, p.x, s.length_mm, s.percent, s.minimal_diameter_mm, s.reference_diameter_mm});
  }
  std::vector<std::vector<FlatPoint>> dense;
  for (const auto& points : flat) dense.push_back(resampled(points));

  const image::Mask open = make_collimator(options.size, scene);
  phantom.mask = image::Mask(options.size, options.size);
  phantom.mask.spacing_mm = phantom.spacing_mm;
  for (std::size_t b = 0; b < dense.size(); ++b) {
    Branch& branch = phantom.branches.emplace_back();
    branch.parent = tree[b].parent;
    for (const FlatPoint& p : dense[b]) {
      branch.points.push_back({p.y, p.x, 2 * p.radius_mm / spacing_mm, 2 * p.radius_mm});
      paint_disc(phantom.mask, p.y, p.x, p.radius_mm / spacing_mm);
    }
  }
  std::transform(phantom.mask.begin(), phantom.mask.end(), open.begin(), phantom.mask.begin(),
                 [](std::uint8_t m, std::uint8_t o) -> std::uint8_t { return m & o; });

  image::ImageF attenuation = make_background(options.size, scene);
  const FlatPoint& ostium = dense.front().front();
  const image::ImageF catheter = make_catheter(options.size, ostium.y, ostium.x, kCatheterMm / spacing_mm, scene);
  const image::ImageF contrast = contrast_of(tree, dense, options.size, spacing_mm);
  for (std::size_t i = 0; i < attenuation.size(); ++i) {
    // The catheter ends in the ostium: where contrast is denser, it does not show.
    attenuation.data()[i] += std::max(catheter.data()[i], contrast.data()[i]);
  }
  phantom.image = expose(attenuation, open, options, exposure);
  phantom.image.spacing_mm = phantom.spacing_mm;
  return phantom;
}

Json truth_json(const Phantom& phantom) {
  Json branches = Json::array();
  for (const Branch& branch : phantom.branches) {
    Json points = Json::array();
    for (const CentrelinePoint& p : branch.points) points.push_back({p.y, p.x, p.diameter_px, p.diameter_mm});
    branches.push_back({{"parent", branch.parent}, {"points", std::move(points)}});
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
          {"height", phantom.image.height()},
          {"width", phantom.image.width()},
          {"spacing_mm", {phantom.spacing_mm.row_mm, phantom.spacing_mm.col_mm}},
          {"point_fields", {"y", "x", "diameter_px", "diameter_mm"}},
          {"branches", std::move(branches)},
          {"stenoses", std::move(stenoses)}};
}

Tube make_tube(const TubeOptions& o) {
  CMUNET_CHECK(o.height > 0 && o.width > 0 && o.diameter_px > 0 && o.end_diameter_px > 0 && o.length_px > 0 &&
                   o.stenosis_percent >= 0 && o.stenosis_percent < 100 && o.stenosis_length_px > 0,
               ErrorCode::kInvalidArgument, "[phantom] a tube needs positive sizes and a stenosis below 100 %");
  const double angle = o.angle_deg * std::numbers::pi / 180, middle_y = (o.height - 1) / 2.0, middle_x = (o.width - 1) / 2.0;
  Tube tube{image::Mask(o.height, o.width), {}};
  const int parts = static_cast<int>(std::ceil(8 * o.length_px));  // fine, so that the edge has no ripple
  for (int i = 0; i <= parts; ++i) {
    const double t = static_cast<double>(i) / parts, along = (t - 0.5) * o.length_px;
    const double across = -o.bend_px * (1 - 4 * (t - 0.5) * (t - 0.5));  // a parabola over the chord
    const double narrowing = 1 - o.stenosis_percent / 100 * bump(along, o.stenosis_length_px);
    const double diameter = (o.diameter_px + t * (o.end_diameter_px - o.diameter_px)) * narrowing;
    const double y = middle_y + along * std::sin(angle) + across * std::cos(angle);
    const double x = middle_x + along * std::cos(angle) - across * std::sin(angle);
    tube.points.push_back({y, x, diameter, diameter});
    paint_disc(tube.mask, y, x, diameter / 2);
  }
  return tube;
}

}  // namespace cmunet::phantom
