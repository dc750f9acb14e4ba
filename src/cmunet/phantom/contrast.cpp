// SPDX-License-Identifier: Apache-2.0
#include "cmunet/phantom/contrast.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace cmunet::phantom {
namespace {

constexpr double kCatheterRadiusMm = 1.0;  // 6 French
constexpr double kLumenRadiusMm = 0.85;
constexpr double kWallPerMm = 0.12;  // plastic with barium or tungsten

// Adds up vessels on a grid some times finer than the picture. Within a vessel the longest way of a ray counts, so that
// the overlapping discs of its own points are not added up; different vessels that cross are.
class Projection {
 public:
  Projection(int size, double spacing_mm)
      : size_(size),
        finer_(std::clamp(1024 / size, 1, 8)),
        px_per_mm_(finer_ / spacing_mm),
        total_(size * finer_, size * finer_),
        vessel_(size * finer_, size * finer_) {}

  // `attenuation(d2_mm)` of the square of the distance from the middle of the vessel.
  template <typename Attenuation>
  void add_disc(const FlatPoint& p, double radius_mm, const Attenuation& attenuation) {
    const double cy = fine(p.y), cx = fine(p.x), radius = radius_mm * px_per_mm_;
    const double mm_per_px = 1 / px_per_mm_;
    const int last = total_.height() - 1;
    // Clamped before the conversion: vessels may lie far outside the picture.
    const auto clamped = [last](double v) { return static_cast<int>(std::clamp(v, -1.0, last + 1.0)); };
    const int first_y = std::max(0, clamped(std::ceil(cy - radius))), last_y = std::min(last, clamped(cy + radius));
    const int first_x = std::max(0, clamped(std::ceil(cx - radius))), last_x = std::min(last, clamped(cx + radius));
    for (int y = first_y; y <= last_y; ++y) {
      for (int x = first_x; x <= last_x; ++x) {
        const double dy = (y - cy) * mm_per_px, dx = (x - cx) * mm_per_px, d2 = dy * dy + dx * dx;
        if (d2 >= radius_mm * radius_mm) continue;
        const auto value = static_cast<float>(attenuation(d2));
        float& seen = vessel_.at(y, x);
        if (seen == 0) touched_.emplace_back(y, x);
        seen = std::max(seen, value);
      }
    }
  }

  // Adds the vessel to the others. Near `origin`, where it leaves its parent, the two lumina are one: there the longer
  // way counts.
  void end_vessel(const FlatPoint& origin, double join_mm) {
    const double cy = fine(origin.y), cx = fine(origin.x), join = join_mm * px_per_mm_;
    for (const auto& [y, x] : touched_) {
      float& total = total_.at(y, x);
      float& seen = vessel_.at(y, x);
      total = std::hypot(y - cy, x - cx) < join ? std::max(total, seen) : total + seen;
      seen = 0;
    }
    touched_.clear();
  }

  // Means over the fine pixels of each pixel.
  image::ImageF picture() const {
    image::ImageF picture(size_, size_);
    const float share = 1.0F / static_cast<float>(finer_ * finer_);
    for (int y = 0; y < total_.height(); ++y) {
      const float* fine_row = total_.row(y);
      float* row = picture.row(y / finer_);
      for (int x = 0; x < size_; ++x) {
        float sum = 0;
        for (int k = 0; k < finer_; ++k) sum += *fine_row++;
        row[x] += share * sum;
      }
    }
    return picture;
  }

 private:
  double fine(double v) const { return (v + 0.5) * finer_ - 0.5; }

  int size_, finer_;
  double px_per_mm_;  // fine pixels
  image::ImageF total_, vessel_;
  std::vector<std::pair<int, int>> touched_;
};

// For each branch the one that continues it, or −1.
std::vector<int> continuations(const std::vector<TreeBranch>& tree) {
  std::vector<int> next(tree.size(), -1);
  for (std::size_t b = 0; b < tree.size(); ++b) {
    if (tree[b].continues_parent) next[static_cast<std::size_t>(tree[b].parent)] = static_cast<int>(b);
  }
  return next;
}

void add_catheter(Projection& projection, const std::vector<FlatPoint>& catheter, double contrast_per_mm) {
  for (const FlatPoint& p : catheter) {
    projection.add_disc(p, kCatheterRadiusMm, [&](double d2) {
      const double outer = 2 * std::sqrt(kCatheterRadiusMm * kCatheterRadiusMm - d2);
      const double inner = 2 * std::sqrt(std::max(0.0, kLumenRadiusMm * kLumenRadiusMm - d2));
      return p.steepness * (kWallPerMm * (outer - inner) + contrast_per_mm * inner);
    });
  }
  projection.end_vessel(catheter.back(), 0);
}

}  // namespace

Injection draw_injection(Rng& rng) {
  Injection injection;
  injection.per_mm = rng.uniform(0.13, 0.21);
  injection.fade_mm = rng.uniform(220, 600);
  return injection;
}

image::ImageF attenuation_of_contrast(const std::vector<TreeBranch>& tree,
                                      const std::vector<std::vector<FlatPoint>>& flat,
                                      const std::vector<FlatPoint>& catheter, const Injection& injection, int size,
                                      double spacing_mm) {
  Projection projection(size, spacing_mm);
  add_catheter(projection, catheter, injection.per_mm);
  const std::vector<int> next = continuations(tree);
  for (std::size_t b = 0; b < tree.size(); ++b) {
    if (tree[b].continues_parent) continue;  // drawn with the vessel it continues
    for (int part = static_cast<int>(b); part >= 0; part = next[static_cast<std::size_t>(part)]) {
      for (const FlatPoint& p : flat[static_cast<std::size_t>(part)]) {
        const double per_mm = injection.per_mm * std::exp(-p.from_ostium_mm / injection.fade_mm) * p.steepness;
        const double radius2 = p.radius_mm * p.radius_mm;
        projection.add_disc(p, p.radius_mm, [&](double d2) { return 2 * per_mm * std::sqrt(radius2 - d2); });
      }
    }
    const FlatPoint& origin = flat[b].front();
    const int parent = tree[b].parent;
    const double parent_mm =
        parent < 0 ? 3 * kCatheterRadiusMm : flat[static_cast<std::size_t>(parent)].back().radius_mm;
    projection.end_vessel(origin, 1.2 * parent_mm + origin.radius_mm);
  }
  return projection.picture();
}

std::vector<TreePoint> make_catheter(const Heart& heart, const Vec3& ostium, Rng& rng) {
  // Down the ascending aorta along its outer wall, and with a bend across its root into the ostium.
  const Vec3 root = heart.at({-20, 0, 0}) + Vec3{0, -6, 2};
  const double across_mm = rng.uniform(10, 20);
  const Vec3 bend = ostium - across_mm * unit(ostium - root) + Vec3{0, rng.uniform(-10, 6), 0};
  const Vec3 aorta = root + Vec3{rng.uniform(-10, -3), rng.uniform(-44, -34), rng.uniform(-2, 8)};
  const Vec3 arch = root + Vec3{rng.uniform(-6, 8), rng.uniform(-95, -80), rng.uniform(-18, -6)};
  const Vec3 beyond = arch + Vec3{rng.uniform(4, 20), -60, -20};
  const Vec3 points[] = {beyond, arch, aorta, bend, ostium};
  std::vector<TreePoint> catheter;
  for (const Vec3& p : curve_through(points)) catheter.push_back({p, kCatheterRadiusMm, 0});
  return catheter;
}

}  // namespace cmunet::phantom
