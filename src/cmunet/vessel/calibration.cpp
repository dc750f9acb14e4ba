// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/calibration.h"

#include <cmath>
#include <numbers>

#include "cmunet/base/error.h"

namespace cmunet::vessel {
namespace {

using image::Spacing;

constexpr double kMmPerFrench = 1.0 / 3;
constexpr double kClickSd_px = 0.5;
constexpr double kCatheterSd_mm = 0.04;    // repeatability of a measured catheter
constexpr double kShaftDeficit_mm = 0.11;  // by which shafts are measured too thin
constexpr double kOffPlane = 0.05;
constexpr double kMaxBeamAngle_deg = 60;
constexpr double kMinMagnification = 1.05, kMaxMagnification = 5;  // of a heart, which lies well before the detector
constexpr double kMaxContradiction = 0.1;                          // between two statements of one magnification
constexpr double kMaxOfDetector = 0.95;  // of the detector's spacing, for one that may be the patient's

bool is_plausible(const Spacing& s) {
  const auto in_range = [](double mm) { return mm >= 0.01 && mm <= 2; };
  const double aspect = s.row_mm / s.col_mm;
  return in_range(s.row_mm) && in_range(s.col_mm) && aspect >= 1 / kMaxAspect && aspect <= kMaxAspect;
}

Calibration calibrated(CalibrationSource source, const Spacing& s, double relative_sd, std::string note) {
  CMUNET_CHECK(is_plausible(s), ErrorCode::kInvalidArgument, "[calibration] spacing ", s.row_mm, " x ", s.col_mm,
               " mm; expected both in 0.01…2 mm, and neither more than ", kMaxAspect, " times the other");
  return {source, s.col_mm, s.row_mm / s.col_mm, relative_sd, 0, std::move(note)};
}

std::string text(const Spacing& s) {
  return s.row_mm == s.col_mm ? concat(s.col_mm, " mm per pixel")
                              : concat(s.row_mm, " mm per row, ", s.col_mm, " mm per column");
}

bool nearly_equal(const Spacing& a, const Spacing& b) {
  return std::abs(a.row_mm - b.row_mm) < 1e-3 * b.row_mm && std::abs(a.col_mm - b.col_mm) < 1e-3 * b.col_mm;
}

Calibration uncalibrated(const AcquisitionGeometry& g, const std::string& why) {
  Calibration c;
  const std::optional<Spacing>& ratio = g.pixel_spacing_mm ? g.pixel_spacing_mm : g.imager_pixel_spacing_mm;
  if (ratio && ratio->row_mm > 0 && ratio->col_mm > 0) {
    c.aspect = ratio->row_mm / ratio->col_mm;
  } else if (g.pixel_aspect) {
    c.aspect = *g.pixel_aspect;
  }
  if (!(c.aspect >= 1 / kMaxAspect && c.aspect <= kMaxAspect)) c.aspect = 1;
  c.note += "; " + why;
  return c;
}

// By a header's spacing: a slip there must not keep anybody from measuring in pixels.
Calibration by_header(const AcquisitionGeometry& g, CalibrationSource source, const Spacing& s,
                      const std::string& note) {
  if (!is_plausible(s)) return uncalibrated(g, concat("the header's spacing is not plausible: ", text(s)));
  return calibrated(source, s, kOffPlane, concat(note, ": ", text(s)));
}

// Of a Pixel Spacing of unknown origin: it was corrected when it is smaller by more than rounding makes it. In the
// patient a pixel is never larger than on the detector.
bool is_corrected(const Spacing& pixel, const Spacing& imager) {
  return pixel.row_mm <= kMaxOfDetector * imager.row_mm && pixel.col_mm <= kMaxOfDetector * imager.col_mm;
}

// How Pixel Spacing was corrected, when it was.
std::optional<std::string> correction_of(const AcquisitionGeometry& g) {
  if (!g.pixel_spacing_mm) return std::nullopt;
  switch (g.pixel_spacing_origin) {
    case SpacingOrigin::kGeometry: return "corrected for the geometry of the acquisition";
    case SpacingOrigin::kFiducial: return "calibrated with an object of known size";
    case SpacingOrigin::kUnknown: break;
  }
  if (g.imager_pixel_spacing_mm && is_corrected(*g.pixel_spacing_mm, *g.imager_pixel_spacing_mm)) {
    return "corrected in a way that the header does not name, as it is smaller than the detector's";
  }
  return std::nullopt;
}

// Why a Pixel Spacing that is no copy of the detector's is passed over; empty when there is none.
std::string doubt_of(const AcquisitionGeometry& g) {
  if (!g.pixel_spacing_mm || !g.imager_pixel_spacing_mm || correction_of(g)) return {};
  if (nearly_equal(*g.pixel_spacing_mm, *g.imager_pixel_spacing_mm)) return {};
  return concat("; Pixel Spacing of the DICOM header, ", text(*g.pixel_spacing_mm),
                ", is passed over: without a calibration type it counts where it is 5 % smaller than the detector's");
}

struct Magnification {
  double factor = 1;
  std::string how;
};

// None when nothing names a plausible one: factors of 1 are what is written when nobody knows.
std::optional<Magnification> magnification_of(const AcquisitionGeometry& g, std::string& why_not) {
  const auto is_plausible = [](const std::optional<double>& factor) {
    return factor && *factor >= kMinMagnification && *factor <= kMaxMagnification;
  };
  const std::optional<double> source_object_mm = g.source_patient_mm ? g.source_patient_mm : g.source_isocentre_mm;
  std::optional<double> by_distances;
  if (g.source_detector_mm && source_object_mm && *source_object_mm > 0) {
    by_distances = *g.source_detector_mm / *source_object_mm;
  }
  const bool has_factor = is_plausible(g.magnification), has_distances = is_plausible(by_distances);
  // The isocentre's distance is a guess at the patient's, which the factor is of.
  if (has_factor &&
      (!has_distances || !g.source_patient_mm || std::abs(*g.magnification / *by_distances - 1) <= kMaxContradiction)) {
    return Magnification{*g.magnification, "the magnification factor"};
  }
  if (has_distances) {
    std::string how =
        concat("the distances of detector and ", g.source_patient_mm ? "patient" : "isocentre", " from the source");
    if (g.magnification) how += concat(", which the magnification factor of ", *g.magnification, " contradicts");
    return Magnification{*by_distances, how};
  }
  const std::optional<double>& factor = g.magnification ? g.magnification : by_distances;
  why_not = factor ? concat("the magnification of ", *factor, " is not plausible")
                   : "the header's spacing is the detector's, and it names no magnification";
  return std::nullopt;
}

}  // namespace

std::string_view to_string(CalibrationSource source) {
  switch (source) {
    case CalibrationSource::kNone: return "none";
    case CalibrationSource::kManual: return "manual";
    case CalibrationSource::kPixelSpacing: return "pixel_spacing";
    case CalibrationSource::kMagnification: return "magnification";
    case CalibrationSource::kCatheter: return "catheter";
  }
  return "";
}

Calibration calibrate_manually(const Spacing& mm_per_px, double relative_sd) {
  CMUNET_CHECK(relative_sd >= 0 && relative_sd <= 0.5, ErrorCode::kInvalidArgument, "[calibration] an uncertainty of ",
               100 * relative_sd, " %; expected 0…50 %");
  return calibrated(CalibrationSource::kManual, mm_per_px, relative_sd,
                    concat("spacing given by the user: ", text(mm_per_px)));
}

Calibration calibrate_by_geometry(const AcquisitionGeometry& g) {
  if (const auto correction = correction_of(g)) {
    return by_header(g, CalibrationSource::kPixelSpacing, *g.pixel_spacing_mm,
                     concat("Pixel Spacing of the DICOM header, ", *correction));
  }
  if (g.object_pixel_spacing_mm) {
    const bool is_oblique = g.beam_angle_deg && std::abs(*g.beam_angle_deg) > kMaxBeamAngle_deg;
    return by_header(g, CalibrationSource::kPixelSpacing, *g.object_pixel_spacing_mm,
                     concat("Object Pixel Spacing in Center of Beam of the DICOM header",
                            is_oblique ? ", doubtful, as the beam meets the calibrated plane at more than 60°" : ""));
  }
  if (!g.imager_pixel_spacing_mm) {
    return uncalibrated(g, g.pixel_spacing_mm ? "the header's Pixel Spacing does not say in which plane it holds"
                                              : "the header has no spacing");
  }
  const Spacing& imager = *g.imager_pixel_spacing_mm;
  std::string why_not;
  const std::optional<Magnification> magnification = magnification_of(g, why_not);
  if (!magnification) return uncalibrated(g, why_not + doubt_of(g));
  const Spacing s{imager.row_mm / magnification->factor, imager.col_mm / magnification->factor};
  Calibration c = by_header(g, CalibrationSource::kMagnification, s,
                            concat("Imager Pixel Spacing at the isocentre, magnification ", magnification->factor,
                                   " by ", magnification->how));
  c.note += doubt_of(g);
  return c;
}

CatheterWidth catheter_width_between(const image::PointF& wall, const image::PointF& other_wall, double aspect) {
  return {std::hypot((other_wall.y - wall.y) * aspect, other_wall.x - wall.x), std::numbers::sqrt2 * kClickSd_px};
}

Calibration calibrate_by_catheter(double french, CatheterPart part, const CatheterWidth& width, double aspect) {
  CMUNET_CHECK(french >= 3 && french <= 12, ErrorCode::kInvalidArgument, "[calibration] a catheter of ", french,
               " French; expected 3…12");
  CMUNET_CHECK(width.px > 0, ErrorCode::kInvalidArgument, "[calibration] the catheter is ", width.px,
               " px wide; expected a positive width");
  const bool is_shaft = part == CatheterPart::kShaft;
  const double diameter_mm = french * kMmPerFrench, mm_per_px = diameter_mm / width.px;
  const double size_sd_mm = is_shaft ? std::hypot(kCatheterSd_mm, kShaftDeficit_mm) : kCatheterSd_mm;
  Calibration c = calibrated(CalibrationSource::kCatheter, {mm_per_px * aspect, mm_per_px},
                             std::hypot(width.sd_px / width.px, size_sd_mm / diameter_mm),
                             concat(is_shaft ? "shaft" : "marker ring", " of a ", french, " French catheter, ",
                                    width.px, " px wide: ", text({mm_per_px * aspect, mm_per_px})));
  c.catheter_french = french;
  return c;
}

}  // namespace cmunet::vessel
