// SPDX-License-Identifier: Apache-2.0
// Synthetic coronary angiograms whose vessels are exactly known: for trying the program without data, for tests, and for
// judging measurements. docs/reference/phantom.md describes how a picture is made and what the truth file holds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/image/image.h"

namespace cmunet::phantom {

enum class Artery { kRight, kLeft };

struct Options {
  int size = 512;             ///< side of the square picture, px, 64…2048
  double field_mm = 140;      ///< side of the field of view; spacing = field_mm / size
  bool stenosis = false;      ///< one to three narrowings in the larger branches
  double photons = 900;       ///< mean quanta per pixel in open field; fewer is noisier
  double blur_px = 0.8;       ///< focal-spot blur at 512 px, scaled with the size

  /// @throws Error kInvalidArgument naming the option.
  void check() const;
};

/// A point of a centre line on the picture, pixel centres at whole numbers.
struct CentrelinePoint {
  double y = 0, x = 0;
  double diameter_px = 0, diameter_mm = 0;
};

/// A vessel between two bifurcations. Neighbouring points are at most half a pixel apart.
struct Branch {
  int parent = -1;      ///< index of the branch it leaves; −1 for the first
  std::vector<CentrelinePoint> points;
};

/// A narrowing: the diameter falls by a smooth bump to `percent` below what it would be.
struct Stenosis {
  int branch = 0;
  double y = 0, x = 0;        ///< narrowest point
  double length_mm = 0;       ///< from healthy to healthy
  double percent = 0;         ///< diameter stenosis, 0…100
  double minimal_diameter_mm = 0;
  double reference_diameter_mm = 0;
};

struct Phantom {
  Artery artery = Artery::kRight;
  image::Image<std::uint8_t> image;
  /// 1 where the pixel's centre lies in the disc of any centre-line point, inside the collimator.
  image::Mask mask;
  std::vector<Branch> branches;
  std::vector<Stenosis> stenoses;
  image::Spacing spacing_mm;
  std::uint64_t seed = 0;
};

/// The same picture, bit for bit, for the same options and seed.
Phantom make_phantom(const Options& options, std::uint64_t seed);

/// The truth as JSON; `mask` and `image` are not in it.
Json truth_json(const Phantom& phantom);

/// A single tube of known diameter, for testing measurements.
struct TubeOptions {
  int height = 128, width = 128;
  double diameter_px = 8;         ///< at the start
  double end_diameter_px = 8;     ///< at the end: linear taper between
  double angle_deg = 0;           ///< direction of the middle of the tube; 0 along x, 90 along y
  double length_px = 90;
  double bend_px = 0;             ///< height of the arc above the chord; 0 is straight
  double stenosis_percent = 0;    ///< at the middle
  double stenosis_length_px = 20;
};
struct Tube {
  image::Mask mask;
  std::vector<CentrelinePoint> points;
};
/// The tube through the picture's centre; `diameter_mm` equals `diameter_px`.
Tube make_tube(const TubeOptions& options);

/// Sets the pixels whose centres lie inside a disc.
void paint_disc(image::Mask& mask, double y, double x, double radius_px);

}  // namespace cmunet::phantom
