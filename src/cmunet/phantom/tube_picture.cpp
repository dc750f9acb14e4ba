// SPDX-License-Identifier: Apache-2.0
// Tubes as X-rays show them.
#include <algorithm>
#include <cmath>

#include "cmunet/base/random.h"
#include "cmunet/phantom/exposure.h"
#include "cmunet/phantom/phantom.h"

namespace cmunet::phantom {
namespace {

constexpr int kFiner = 4;                  // rays per pixel, both ways
constexpr std::size_t kEvery = 2;          // points are an eighth of a pixel apart
constexpr double kDetectorBlur_px = 0.55;  // as of `expose`
constexpr double kMiddleGrey = 130;

}  // namespace

image::ImageF chords_mm(const Tube& tube) {
  const int height = tube.mask.height(), width = tube.mask.width();
  const image::Spacing& spacing = *tube.mask.spacing_mm;
  image::ImageF fine(height * kFiner, width * kFiner), chords(height, width);
  const auto first = [](double v, int n) { return std::clamp(static_cast<int>(std::ceil(v)), 0, n); };
  const auto fine_of = [](double v) { return (v + 0.5) * kFiner - 0.5; };
  const double row_mm = spacing.row_mm / kFiner, col_mm = spacing.col_mm / kFiner;
  for (std::size_t i = 0; i < tube.points.size(); i += kEvery) {
    const CentrelinePoint& disc = tube.points[i];
    const double radius = disc.diameter_mm / 2, cy = fine_of(disc.y), cx = fine_of(disc.x);
    for (int y = first(cy - radius / row_mm, fine.height()); y < first(cy + radius / row_mm, fine.height()); ++y) {
      for (int x = first(cx - radius / col_mm, fine.width()); x < first(cx + radius / col_mm, fine.width()); ++x) {
        const double d = std::hypot((y - cy) * row_mm, (x - cx) * col_mm);
        if (d >= radius) continue;
        fine.at(y, x) = std::max(fine.at(y, x), static_cast<float>(2 * std::sqrt(radius * radius - d * d)));
      }
    }
  }
  for (int y = 0; y < fine.height(); ++y) {
    for (int x = 0; x < fine.width(); ++x) chords.at(y / kFiner, x / kFiner) += fine.at(y, x) / (kFiner * kFiner);
  }
  chords.spacing_mm = spacing;
  return chords;
}

image::Image<std::uint8_t> expose_tubes(const image::ImageF& chords_mm, const TubeExposure& exposure, Rng& rng) {
  image::ImageF quanta(chords_mm.height(), chords_mm.width());
  std::transform(chords_mm.begin(), chords_mm.end(), quanta.begin(), [&](float chord) {
    return static_cast<float>(std::exp(-exposure.density_per_mm * static_cast<double>(chord)));
  });
  quanta = gaussian_blur(quanta, exposure.blur_px);
  if (exposure.photons > 0) {
    for (float& q : quanta) {
      q = static_cast<float>(static_cast<double>(rng.poisson(exposure.photons * static_cast<double>(q))) /
                             exposure.photons);
    }
    quanta = gaussian_blur(quanta, kDetectorBlur_px);
  }
  image::Image<std::uint8_t> picture(chords_mm.height(), chords_mm.width());
  std::transform(quanta.begin(), quanta.end(), picture.begin(), [](float q) {
    return static_cast<std::uint8_t>(std::lround(std::clamp(kMiddleGrey * static_cast<double>(q), 0.0, 255.0)));
  });
  picture.spacing_mm = chords_mm.spacing_mm;
  return picture;
}

}  // namespace cmunet::phantom
