// SPDX-License-Identifier: Apache-2.0
// Synthetic coronary angiograms whose vessels are exactly known: for trying the program without data, for tests, and
// for judging measurements. docs/reference/phantom.md describes how a picture is made and what the truth file holds.
// Not a substitute for real angiograms: a network that works on phantoms has shown nothing about patients.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/base/random.h"
#include "cmunet/image/image.h"

namespace cmunet::phantom {

enum class Artery { kRight, kLeft };

struct Options {
  int size = 512;         ///< side of the square picture, px, 64…2048
  double field_mm = 140;  ///< side of the field of view at the heart, 20…400; spacing = field_mm / size
  bool stenosis = false;  ///< one to three narrowings in the larger branches; none where no branch has room for one
  std::optional<double> stenosis_percent = std::nullopt;  ///< of the diameter, 1…99; absent: drawn from 30…85 for each
  std::optional<double> stenosis_length_mm =
      std::nullopt;      ///< 2…20, at most as long as the longest branch; absent: drawn from 4…14
  double photons = 450;  ///< quanta per pixel of a 512-px picture at middle grey, 10…10⁶; fewer is noisier
  double blur_px = 0.8;  ///< standard deviation of the focal spot's blur in a 512-px picture, 0…10

  /// @throws Error kInvalidArgument naming the option.
  void check() const;
};

/// Angles of the C-arm as cath labs give them.
struct View {
  double lao_deg = 0;      ///< left anterior oblique; negative: right
  double cranial_deg = 0;  ///< negative: caudal
};

/// A point of a centre line on the picture: y down, x right, pixel centres at whole numbers. May lie outside the
/// picture.
struct CentrelinePoint {
  double y = 0, x = 0;
  double diameter_px = 0, diameter_mm = 0;
};

/// A vessel between two bifurcations. Neighbouring points are about half a pixel apart or closer.
struct Branch {
  int parent = -1;     ///< index of the branch it leaves; −1 for the first
  std::string vessel;  ///< "RCA", "AM", "PDA", "PL", "LAD", "LCX", "D", "OM", "S" …; "side" for an unnamed one
  std::vector<CentrelinePoint> points;
};

/// A narrowing: the diameter falls by a smooth bump to `percent` below what it would be.
struct Stenosis {
  int branch = 0;
  double y = 0, x = 0;   ///< narrowest point
  double length_mm = 0;  ///< from healthy to healthy along the vessel in space; the picture may show it shortened
  double percent = 0;    ///< diameter stenosis, 0…100
  double minimal_diameter_mm = 0;
  double reference_diameter_mm = 0;  ///< what the narrowest point would be without it
};

struct Phantom {
  Artery artery = Artery::kRight;
  View view;
  image::Image<std::uint8_t> image;
  /// 1 where the pixel's centre lies in the disc of any centre-line point, inside the collimator's opening.
  image::Mask mask;
  image::Mask opening;  ///< 1 where the collimator lets radiation through
  std::vector<Branch> branches;
  std::vector<Stenosis> stenoses;
  image::Spacing spacing_mm;
  std::uint64_t seed = 0;
};

/// The same picture, bit for bit, for the same options and seed. Artery and view do not depend on the size, and while a
/// pixel is at most 0.6 mm neither do branches, framing and background: in coarser pictures thin branches are left out,
/// and what is left is what the picture is framed around. Thread-safe. @throws Error kInvalidArgument as
/// `Options::check`.
Phantom make_phantom(const Options& options, std::uint64_t seed);

/// The truth as JSON (docs/reference/phantom.md); pictures are not in it.
Json truth_json(const Phantom& phantom);

/// A single tube of known diameter, for testing measurements. Its lengths are in px as wide as a column; where rows
/// have another spacing than columns, the picture holds the same tube on that grid.
struct TubeOptions {
  int height = 128, width = 128;
  double diameter_px = 8;       ///< at the start
  double end_diameter_px = 8;   ///< at the end: linear taper between
  double angle_deg = 0;         ///< direction of the middle of the tube; 0 along x, 90 along y
  double length_px = 90;        ///< of the chord from start to end; rounded ends come on top
  double bend_px = 0;           ///< height of the arc above the chord; 0 is straight
  double stenosis_percent = 0;  ///< at the middle
  double stenosis_length_px = 20;
  double offset_y_px = 0, offset_x_px = 0;  ///< of the tube from the picture's centre, against the pixel grid
  image::Spacing spacing_mm{0.3, 0.3};      ///< of the mask; diameter_mm = diameter_px · spacing_mm.col_mm
};

struct Tube {
  image::Mask mask;                     ///< 1 where the pixel's centre lies inside
  image::ImageF soft;                   ///< 0.5 on the wall, rising inwards by 1 over a column's width; [0, 1]
  std::vector<CentrelinePoint> points;  ///< an eighth of a pixel apart along the chord; image coordinates
};

/// What a tube of `tube_mm` is apart from straight and even.
struct TubeShape {
  double bend = 0;              ///< height of the arc over the length of the chord
  double taper = 1;             ///< diameter at the end over diameter at the start
  double stenosis_percent = 0;  ///< of the diameter, 10 mm long
};

/// A tube in millimetres on a picture that holds it, at a sub-pixel place `phase` of 0, 1, 2 …
TubeOptions tube_mm(double diameter_mm, double length_mm, double angle_deg, const image::Spacing& spacing,
                    int phase = 0, const TubeShape& shape = {});

/// The tube through the picture's centre. @throws Error kInvalidArgument when a size is not positive.
Tube make_tube(const TubeOptions& options);

/// What models make of a tube: a mask half a millimetre too wide, its stenosis half as tight.
image::Mask rough_mask(TubeOptions options);

/// How much of an even tube's length, mm, is narrower than a share of the diameter at its beginning.
double narrowed_length_mm(const Tube& tube, double share);

/// A tube with two side branches, 14 mm long, and the way between the places where they leave it.
struct BranchedTube {
  double diameter_mm = 3, side_mm = 2, between_mm = 12;
  double angle_deg = 0, side_angle_deg = 60;  ///< of the tube; of the side branches against it
  bool is_one_side = true;                    ///< both branches on the same side
  double spacing_mm = 0.2;
};
/// Its mask: the tube goes on for 12 mm beyond both places. @throws Error kInvalidArgument as `make_tube`.
image::Mask branched_mask(const BranchedTube& shape);

/// How far rays go through the tube, mm: 2 √(r² − d²) at a distance d from its middle, the mean over each pixel.
image::ImageF chords_mm(const Tube& tube);

/// How a tube is X-rayed: parallel rays, no scatter, linear display.
struct TubeExposure {
  double density_per_mm = 0.17;  ///< attenuation by a millimetre of contrast medium
  double blur_px = 0.8;          ///< standard deviation of the focal spot's blur; 0 is none
  double photons = 450;          ///< quanta per pixel of background; 0: no noise, and no blur in the detector (0.55 px)
};
/// An 8-bit picture of grey 130 · exp(−density · chord), dark vessels. Chords of several tubes may be added up before.
image::Image<std::uint8_t> expose_tubes(const image::ImageF& chords_mm, const TubeExposure& exposure, Rng& rng);

/// Sets the pixels whose centres lie inside or on the edge of a disc.
void paint_disc(image::Mask& mask, double y, double x, double radius_px);

}  // namespace cmunet::phantom
