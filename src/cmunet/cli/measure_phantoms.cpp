// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/measure_phantoms.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "cmunet/base/log.h"
#include "cmunet/base/random.h"
#include "cmunet/cli/measurement_errors.h"
#include "cmunet/cli/model.h"
#include "cmunet/engine/segmenter.h"
#include "cmunet/phantom/phantom.h"
#include "cmunet/report/text.h"
#include "cmunet/vessel/measure.h"

namespace cmunet::cli {
namespace {

using phantom::Branch;
using phantom::CentrelinePoint;
using phantom::Phantom;
using phantom::Stenosis;
using report::Table;
using vessel::Measurement;

constexpr int kPhantoms = 48;
constexpr double kMatch_px = 2;         // from a cross-section to the true centre line
constexpr double kAround_mm = 10;       // of vessel on either side of a stenosis: what a reader marks
constexpr double kLost_points = 5;      // points that a stenosis loses by the projection alone
constexpr double kNeighbouring_px = 1;  // between two vessels: closer ones have no wall in between

// What stands in the way of seeing a stenosis in a projection.
enum class Hidden { kNot, kSelf, kOverlap, kBifurcation };
constexpr std::array<const char*, 4> kHidden{"clear", "its own wider parts over it", "another vessel over or beside it",
                                             "bifurcation beside it"};

double distance(const CentrelinePoint& a, const CentrelinePoint& b) { return std::hypot(b.y - a.y, b.x - a.x); }

// The vessel of a stenosis: its branch, those of the same name before it and behind it.
struct Course {
  std::vector<CentrelinePoint> points;
  std::vector<bool> has_branch;  // by branch of the phantom
  std::size_t narrowest = 0;
};

Course course_of(const Phantom& p, const Stenosis& s) {
  const auto branch = [&](int b) -> const Branch& { return p.branches[static_cast<std::size_t>(b)]; };
  std::vector<int> chain{s.branch};
  for (int up = branch(s.branch).parent; up >= 0 && branch(up).vessel == branch(s.branch).vessel;) {
    chain.insert(chain.begin(), up);
    up = branch(up).parent;
  }
  for (std::size_t b = 0; b < p.branches.size(); ++b) {
    const bool goes_on = p.branches[b].parent == chain.back() && p.branches[b].vessel == branch(s.branch).vessel;
    if (goes_on) chain.push_back(static_cast<int>(b));  // parents come before their daughters
  }
  Course course;
  course.has_branch.assign(p.branches.size(), false);
  double nearest = std::numeric_limits<double>::infinity();
  for (const int b : chain) {
    course.has_branch[static_cast<std::size_t>(b)] = true;
    for (const CentrelinePoint& q : branch(b).points) {
      const double way = std::hypot(q.y - s.y, q.x - s.x);
      if (b == s.branch && way < nearest) nearest = way, course.narrowest = course.points.size();
      course.points.push_back(q);
    }
  }
  return course;
}

// Width that the vessel's own discs leave at the stenosis, px: more than its narrowest disc where wider parts of the
// vessel lie before or behind it along the ray.
double projected_width_px(const Course& course) {
  const CentrelinePoint& at = course.points[course.narrowest];
  const std::size_t reach = 6, last = course.points.size() - 1;
  const CentrelinePoint& a = course.points[course.narrowest - std::min(course.narrowest, reach)];
  const CentrelinePoint& b = course.points[std::min(last, course.narrowest + reach)];
  const double length = std::max(1e-9, distance(a, b)), ty = (b.y - a.y) / length, tx = (b.x - a.x) / length;
  double sides[2] = {0, 0};
  for (const CentrelinePoint& q : course.points) {
    const double along = (q.y - at.y) * ty + (q.x - at.x) * tx, across = (q.y - at.y) * tx - (q.x - at.x) * ty;
    const double radius = q.diameter_px / 2;
    if (std::abs(along) >= radius) continue;
    const double half = std::sqrt(radius * radius - along * along);
    if (std::abs(across) > half) continue;  // a loop of the vessel elsewhere
    sides[0] = std::max(sides[0], half + across), sides[1] = std::max(sides[1], half - across);
  }
  return sides[0] + sides[1];
}

Hidden what_hides(const Phantom& p, const Stenosis& s, const Course& course) {
  const double reference_px = s.reference_diameter_mm / p.spacing_mm.col_mm;
  if (100 * (1 - projected_width_px(course) / reference_px) < s.percent - kLost_points) {
    return Hidden::kSelf;
  }
  const CentrelinePoint& at = course.points[course.narrowest];
  const int parent = p.branches[static_cast<std::size_t>(s.branch)].parent;
  Hidden hidden = Hidden::kNot;
  for (std::size_t b = 0; b < p.branches.size(); ++b) {
    if (course.has_branch[b]) continue;
    const auto touches = [&](const CentrelinePoint& q) {
      return distance(at, q) - q.diameter_px / 2 - reference_px / 2 < kNeighbouring_px;
    };
    if (!std::ranges::any_of(p.branches[b].points, touches)) continue;
    const bool is_kin = p.branches[b].parent == s.branch || (parent >= 0 && p.branches[b].parent == parent);
    if (!is_kin) return Hidden::kOverlap;
    hidden = Hidden::kBifurcation;
  }
  return hidden;
}

// As a reader marks it: the vessel around the stenosis, up to halfway to the next one of the same vessel.
vessel::PathEnds path_around(const Phantom& p, const Stenosis& s, const Course& course) {
  const double reach_px = (kAround_mm + s.length_mm / 2) / p.spacing_mm.col_mm;
  const auto is_nearer_to_another = [&](const CentrelinePoint& q) {
    return std::ranges::any_of(p.stenoses, [&](const Stenosis& other) {
      return std::hypot(q.y - other.y, q.x - other.x) < std::hypot(q.y - s.y, q.x - s.x);
    });
  };
  const auto walk = [&](int step) {
    std::size_t i = course.narrowest;
    for (double way = 0; way < reach_px;) {
      const std::size_t next = i + static_cast<std::size_t>(step);  // wraps below 0 to beyond the end
      if (next >= course.points.size() || is_nearer_to_another(course.points[next])) break;
      way += distance(course.points[i], course.points[next]);
      i = next;
    }
    return image::PointF{course.points[i].y, course.points[i].x};
  };
  return {walk(-1), walk(1)};
}

struct StenosisTally {
  int made = 0, found_alone = 0;
  MeasurementErrors on_path;  // points
};

// Of one way to find the vessels of the phantoms.
struct TreeErrors {
  static constexpr std::array kBins_mm{0.5, 1.0, 1.5, 2.0, 3.0, 5.0};
  std::array<MeasurementErrors, kBins_mm.size() - 1> diameters;  // mm, by true diameter
  MeasurementErrors all;                                         // mm
  std::array<StenosisTally, kHidden.size()> stenoses;
  double cross_sections = 0, matched = 0;
  int false_lesions = 0, excluded = 0;
};

void add_diameters(const Phantom& p, const Measurement& m, TreeErrors& errors) {
  std::vector<CentrelinePoint> truth;
  for (const Branch& b : p.branches) truth.insert(truth.end(), b.points.begin(), b.points.end());
  for (const vessel::MeasuredSegment& segment : m.segments) {
    for (const vessel::Sample& s : segment.samples) {
      const CentrelinePoint& t = nearest_point(truth, s.centre, 1);
      ++errors.cross_sections;
      if (std::hypot(t.y - s.centre.y, t.x - s.centre.x) > kMatch_px) continue;
      ++errors.matched;
      errors.all.add(s, t.diameter_mm, m.calibration);
      for (std::size_t b = 0; b < errors.diameters.size(); ++b) {
        const bool is_in_bin = t.diameter_mm >= TreeErrors::kBins_mm[b] && t.diameter_mm < TreeErrors::kBins_mm[b + 1];
        if (is_in_bin) errors.diameters[b].add(s, t.diameter_mm, m.calibration);
      }
    }
  }
}

bool is_at(const vessel::MeasuredSegment& segment, const vessel::Narrowing& n, const Stenosis& s, double spacing_mm) {
  const image::PointF& at = segment.samples[n.sample].centre;
  return std::hypot(at.y - s.y, at.x - s.x) <= s.length_mm / 2 / spacing_mm;
}

// What the measurement of all segments calls lesions.
void add_lesions(const Phantom& p, const Measurement& m, const std::vector<Hidden>& hidden, TreeErrors& errors) {
  std::vector<bool> is_found(p.stenoses.size(), false);
  for (const vessel::MeasuredSegment& segment : m.segments) {
    if (!has_lesion(segment, m.reference)) continue;
    bool is_true = false;
    for (std::size_t i = 0; i < p.stenoses.size(); ++i) {
      if (!is_at(segment, *segment.narrowing, p.stenoses[i], p.spacing_mm.col_mm)) continue;
      is_found[i] = is_true = true;
    }
    errors.false_lesions += is_true ? 0 : 1;
  }
  for (std::size_t i = 0; i < is_found.size(); ++i) {
    StenosisTally& tally = errors.stenoses[static_cast<std::size_t>(hidden[i])];
    ++tally.made;
    tally.found_alone += is_found[i] ? 1 : 0;
  }
  const vessel::LesionCount count = m.count_lesions();
  errors.excluded += count.at_free_ends + count.at_border;
}

template <typename Vessels>
void measure_phantom(const Phantom& p, const Vessels& vessels, TreeErrors& errors) {
  vessel::MeasureOptions options;
  options.calibration = vessel::calibrate_manually(p.spacing_mm);
  options.field = p.opening;
  const Measurement m = measure_vessels(vessels, options);
  add_diameters(p, m, errors);
  std::vector<Hidden> hidden;
  for (const Stenosis& s : p.stenoses) {
    const Course course = course_of(p, s);
    hidden.push_back(what_hides(p, s, course));
    options.path = path_around(p, s, course);
    try {
      const vessel::MeasuredSegment path = measure_vessels(vessels, options).segments.at(0);
      if (!path.narrowing || !is_at(path, *path.narrowing, s, p.spacing_mm.col_mm)) continue;  // another place
      errors.stenoses[static_cast<std::size_t>(hidden.back())].on_path.add(
          path.narrowing->against_reference(vessel::Reference::kComputed).diameter_percent, s.percent);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::kNotFound) throw;  // the vessel is interrupted
    }
  }
  add_lesions(p, m, hidden, errors);
}

Json json_of(const TreeErrors& e) {
  Json json{{"all", e.all.json()},
            {"matched_percent", 100 * e.matched / e.cross_sections},
            {"false_lesions", e.false_lesions},
            {"excluded_at_ends", e.excluded}};
  for (std::size_t b = 0; b < e.diameters.size(); ++b) {
    json["diameters"].push_back({{"from_mm", TreeErrors::kBins_mm[b]}, {"errors", e.diameters[b].json()}});
  }
  for (std::size_t h = 0; h < kHidden.size(); ++h) {
    const StenosisTally& tally = e.stenoses[h];
    json["stenoses"].push_back({{"hidden_by", kHidden[h]},
                                {"made", tally.made},
                                {"found_alone", tally.found_alone},
                                {"errors_points_on_path", tally.on_path.json()}});
  }
  return json;
}

Table diameter_table(const TreeErrors& exact, const TreeErrors& found) {
  Table table({{"true diameter (mm)"}, {"exact masks"}, {"n", 0}, {"model"}, {"n", 0}});
  const auto add_row = [&](const std::string& name, const MeasurementErrors& a, const MeasurementErrors& b) {
    table.add_row({name, a.text(2), a.n(), b.text(2), b.n()});
  };
  for (std::size_t b = 0; b < exact.diameters.size(); ++b) {
    add_row(concat(TreeErrors::kBins_mm[b], " to ", TreeErrors::kBins_mm[b + 1]), exact.diameters[b],
            found.diameters[b]);
  }
  add_row("all", exact.all, found.all);
  const auto percents = [&](const char* name, double a, double b) {
    table.add_row({name, report::format_fixed(a, 0), exact.all.n(), report::format_fixed(b, 0), found.all.n()});
  };
  percents("95 % interval holds the truth (%)", exact.all.covered_percent(), found.all.covered_percent());
  percents("cross-sections on a true vessel (%)", 100 * exact.matched / exact.cross_sections,
           100 * found.matched / found.cross_sections);
  return table;
}

Table stenosis_table(const TreeErrors& exact, const TreeErrors& found) {
  Table table({{"in the projection"},
               {"made", 0},
               {"exact masks: on a path", 0},
               {"error"},
               {"among all segments", 0},
               {"model: on a path", 0},
               {"error"},
               {"among all segments", 0}});
  for (std::size_t h = 0; h < kHidden.size(); ++h) {
    const StenosisTally &a = exact.stenoses[h], &b = found.stenoses[h];
    table.add_row({kHidden[h], static_cast<double>(a.made), a.on_path.n(), a.on_path.text(1),
                   static_cast<double>(a.found_alone), b.on_path.n(), b.on_path.text(1),
                   static_cast<double>(b.found_alone)});
  }
  const auto per_picture = [](int n) { return report::format_fixed(static_cast<double>(n) / kPhantoms, 1); };
  const double none = std::nan("");
  table.add_row({"other lesions per picture", none, none, "", per_picture(exact.false_lesions), none, "",
                 per_picture(found.false_lesions)});
  table.add_row({"left out at ends, per picture", none, none, "", per_picture(exact.excluded), none, "",
                 per_picture(found.excluded)});
  return table;
}

}  // namespace

PhantomAccuracy measure_phantoms(const std::string& model_path, const CommonOptions& common) {
  const std::string path = model_path.empty() ? default_model() : model_path;
  const Model model = open_model(path, common);
  const engine::Segmenter segmenter(model.engine, preprocess::options_from_json(model.info.preprocessing, path));
  TreeErrors exact, found;
  phantom::Options options;
  options.stenosis = true;
  for (int i = 0; i < kPhantoms; ++i) {
    const Phantom p = make_phantom(options, Rng(common.seed).fork(static_cast<std::uint64_t>(i)).next());
    image::ImageF grey(p.image.height(), p.image.width());
    std::copy(p.image.begin(), p.image.end(), grey.begin());
    measure_phantom(p, p.mask, exact);
    measure_phantom(p, segmenter.segment(grey).probability, found);
    log_info("phantom ", i + 1, " of ", kPhantoms);
  }
  return {diameter_table(exact, found),
          stenosis_table(exact, found),
          {{"phantoms", kPhantoms},
           {"size", options.size},
           {"spacing_mm", options.field_mm / options.size},
           {"exact_masks", json_of(exact)},
           {"model", json_of(found)}}};
}

}  // namespace cmunet::cli
