// SPDX-License-Identifier: Apache-2.0
// From pixels to millimetres in the patient, how that was found, and how sure it is. Without calibration there are no
// millimetres: nothing here ever assumes a spacing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cmunet/image/contour.h"
#include "cmunet/image/image.h"

namespace cmunet::vessel {

/// Where millimetres come from.
enum class CalibrationSource {
  kNone,           ///< pixels only
  kManual,         ///< spacing given by the user
  kPixelSpacing,   ///< DICOM Pixel Spacing (0028,0030) that is said, or shown, to be corrected for magnification
  kMagnification,  ///< Imager Pixel Spacing (0018,1164) over the magnification factor: right in the isocentre's plane
  kCatheter,       ///< a catheter of known size in the picture
};
/// "none", "manual", "pixel_spacing", "magnification", "catheter".
std::string_view to_string(CalibrationSource source);

/// Pixels are taken to be at most so many times as high as wide, or as wide as high.
inline constexpr double kMaxAspect = 5;

/// All lengths of this module are in `px`: the width of a pixel column. With rows of another height, distances along y
/// are multiplied by `aspect` first, so that right angles are right angles in the patient.
struct Calibration {
  CalibrationSource source = CalibrationSource::kNone;
  std::optional<double> mm_per_px = std::nullopt;              ///< absent without calibration
  double aspect = 1;                                           ///< row spacing / column spacing; 1 unless it is known
  double relative_sd = 0;                                      ///< standard deviation of mm_per_px over mm_per_px
  double catheter_french = 0;                                  ///< for kCatheter
  std::string note = "not calibrated: lengths are in pixels";  ///< for people: how it was made, or why there is none
};

/// Spacing given by a user, in the plane of the vessel.
/// @param relative_sd  0 takes it as exact
/// @throws Error kInvalidArgument unless both spacings are in 0.01…2 mm (others are no angiogram's), the pixels' aspect
/// within kMaxAspect and relative_sd in [0, 0.5].
Calibration calibrate_manually(const image::Spacing& mm_per_px, double relative_sd = 0);

/// What Pixel Spacing Calibration Type (0028,0A02) says.
enum class SpacingOrigin { kUnknown, kGeometry, kFiducial };

/// What the header of an X-ray image says about size, all optional.
struct AcquisitionGeometry {
  std::optional<image::Spacing> pixel_spacing_mm;  ///< (0028,0030)
  SpacingOrigin pixel_spacing_origin = SpacingOrigin::kUnknown;
  std::optional<image::Spacing> imager_pixel_spacing_mm;  ///< (0018,1164), on the detector
  std::optional<image::Spacing> object_pixel_spacing_mm;  ///< (0018,9404), in the calibrated plane
  std::optional<double> beam_angle_deg;                   ///< (0018,9449), of the beam to that plane's normal
  std::optional<double> magnification;                    ///< (0018,1114)
  std::optional<double> source_detector_mm;               ///< (0018,1110)
  std::optional<double> source_patient_mm;                ///< (0018,1111)
  std::optional<double> source_isocentre_mm;              ///< (0018,9402)
  std::optional<double> pixel_aspect;                     ///< row / column (0028,0034), when no spacing tells it
};

/// The first of these that the header supports, else pixels only with a note that says why:
/// 1. Pixel Spacing of known origin, or at most 0.95 times Imager Pixel Spacing on both axes (PS3.3, 10.7.1.3: it was
/// then corrected; nearer to it, it may be a rounded copy, and in the patient it is never larger);
/// 2. Object Pixel Spacing in Center of Beam, with a warning in the note when the beam is more than 60° off;
/// 3. Imager Pixel Spacing over the magnification factor; 4. the same with factor SID / SOD, where SOD is the distance
/// of the patient or, without it, of the isocentre. Factors outside 1.05…5 count as absent, as 1 is written by who does
/// not know; of two that differ by more than 10 %, SID / SOD of the patient is taken, and the note says so.
/// Imager Pixel Spacing alone, and Pixel Spacing of unknown origin alone or about equal to it, are sizes on the
/// detector and never used; nor is a spacing that no angiogram has. Relative sd 5 %: an artery lies up to 4 cm off the
/// calibrated plane, 75 cm from the source.
Calibration calibrate_by_geometry(const AcquisitionGeometry& geometry);

/// Which part of the catheter was measured. Shafts look thinner than they are: of true 2.50 mm, 2.39 ± 0.04 mm, metal
/// rings 2.49 ± 0.04 mm. The difference is part of the uncertainty.
enum class CatheterPart { kShaft, kMarker };

/// Width of a catheter in the picture, px.
struct CatheterWidth {
  double px = 0;
  double sd_px = 0;
};

/// Distance of two points clicked on opposite walls; half a pixel uncertain at each.
CatheterWidth catheter_width_between(const image::PointF& wall, const image::PointF& other_wall, double aspect = 1);

/// Width of the catheter that runs from `from` to `to`, from the steepest grey steps on both sides of that line.
/// Median over the cuts every half pixel; sd: their scatter, robustly, and at least a quarter of a pixel.
/// @param grey  [0, 255]; the catheter may be darker or brighter than what is around it
/// @throws Error kInvalidArgument when the points are less than 4 px apart or outside; kUnsupported when fewer than
/// half of the cuts show two walls, or when their distances scatter by more than a fifth.
CatheterWidth detect_catheter_width(const image::ImageF& grey, const image::PointF& from, const image::PointF& to,
                                    double aspect = 1);

/// @param french  outer diameter, 3 French = 1 mm, in 3…12
/// @throws Error kInvalidArgument for another size or a width that is not positive.
Calibration calibrate_by_catheter(double french, CatheterPart part, const CatheterWidth& width, double aspect = 1);

}  // namespace cmunet::vessel
