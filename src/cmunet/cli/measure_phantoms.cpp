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

constexpr int kPhantoms = 24;
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

// Whether a vessel lies over or right beside one that is `width_px` wide at a point of its line.
bool touches(const Branch& branch, const CentrelinePoint& at, double width_px) {
  return std::ranges::any_of(branch.points, [&](const CentrelinePoint& q) {
    return distance(at, q) - q.diameter_px / 2 - width_px / 2 < kNeighbouring_px;
  });
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
    if (!touches(p.branches[b], at, reference_px)) continue;
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
  MeasurementErrors all, alone;                                  // mm; alone: no other vessel over or beside it
  std::array<StenosisTally, kHidden.size()> stenoses;
  double cross_sections = 0, matched = 0, from_image = 0;
  int false_lesions = 0, excluded = 0;
};

struct TrueVessels {
  std::vector<CentrelinePoint> points;
  std::vector<bool> is_alone;  // by point: no other branch over or beside it
};

TrueVessels true_vessels(const Phantom& p) {
  TrueVessels truth;
  for (const Branch& of : p.branches) {
    for (const CentrelinePoint& t : of.points) {
      truth.points.push_back(t);
      truth.is_alone.push_back(
          std::ranges::none_of(p.branches, [&](const Branch& b) { return &b != &of && touches(b, t, t.diameter_px); }));
    }
  }
  return truth;
}

// What is seen at a place: where centre lines of several vessels come this near, the narrower ones lie within the
// widest. Null where none does.
const CentrelinePoint* widest_at(const TrueVessels& truth, const image::PointF& place) {
  const CentrelinePoint* widest = nullptr;
  for (const CentrelinePoint& t : truth.points) {
    if (std::hypot(t.y - place.y, t.x - place.x) > kMatch_px) continue;
    if (widest == nullptr || t.diameter_px > widest->diameter_px) widest = &t;
  }
  return widest;
}

void add_diameters(const TrueVessels& truth, const Measurement& m, TreeErrors& errors) {
  for (const vessel::MeasuredSegment& segment : m.segments) {
    for (const vessel::Sample& s : segment.samples) {
      ++errors.cross_sections;
      const CentrelinePoint* t = widest_at(truth, s.centre);
      if (t == nullptr) continue;
      ++errors.matched;
      errors.all.add(s, t->diameter_mm, m.calibration);
      const auto index = static_cast<std::size_t>(t - truth.points.data());
      if (truth.is_alone[index]) errors.alone.add(s, t->diameter_mm, m.calibration);
      for (std::size_t b = 0; b < errors.diameters.size(); ++b) {
        const bool is_in_bin =
            t->diameter_mm >= TreeErrors::kBins_mm[b] && t->diameter_mm < TreeErrors::kBins_mm[b + 1];
        if (is_in_bin) errors.diameters[b].add(s, t->diameter_mm, m.calibration);
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

// @param grey  the picture, in which walls are found; empty: they are those of the vessels given
template <typename Vessels>
void measure_phantom(const Phantom& p, const TrueVessels& truth, const Vessels& vessels, const image::ImageF& grey,
                     TreeErrors& errors) {
  vessel::MeasureOptions options;
  options.calibration = vessel::calibrate_manually(p.spacing_mm);
  options.field = p.opening;
  options.angiogram.grey = grey;
  const Measurement m = measure_vessels(vessels, options);
  add_diameters(truth, m, errors);
  if (m.walls) errors.from_image += m.walls->from_image;
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
            {"alone", e.alone.json()},
            {"matched_percent", 100 * e.matched / e.cross_sections},
            {"walls_from_image_percent", 100 * e.from_image / e.cross_sections},
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

// The ways to find the vessels, in the order of the tables' columns.
constexpr std::array<const char*, 4> kWays{"exact masks", "exact masks, walls from the picture", "model",
                                           "model, walls from the picture"};
using AllErrors = std::array<TreeErrors, kWays.size()>;

Table diameter_table(const AllErrors& errors) {
  std::vector<Table::Column> columns{{"true diameter (mm)"}};
  for (const char* way : kWays) columns.insert(columns.end(), {{way}, {"n", 0}});
  Table table(std::move(columns));
  const auto add_row = [&](const std::string& name, const auto& text, const auto& count) {
    std::vector<report::Cell> row{name};
    for (const TreeErrors& e : errors) row.insert(row.end(), {text(e), count(e)});
    table.add_row(std::move(row));
  };
  for (std::size_t b = 0; b + 1 < TreeErrors::kBins_mm.size(); ++b) {
    add_row(
        concat(TreeErrors::kBins_mm[b], " to ", TreeErrors::kBins_mm[b + 1]),
        [b](const TreeErrors& e) { return e.diameters[b].text(2); },
        [b](const TreeErrors& e) { return e.diameters[b].n(); });
  }
  const auto all = [](const TreeErrors& e) { return e.all.n(); };
  const auto alone = [](const TreeErrors& e) { return e.alone.n(); };
  add_row(
      "all", [](const TreeErrors& e) { return e.all.text(2); }, all);
  add_row(
      "no other vessel over or beside it", [](const TreeErrors& e) { return e.alone.text(2); }, alone);
  add_row(
      "95 % interval holds the truth (%)",
      [](const TreeErrors& e) { return report::format_fixed(e.all.covered_percent(), 0); }, all);
  add_row(
      "the same, no other vessel over or beside it (%)",
      [](const TreeErrors& e) { return report::format_fixed(e.alone.covered_percent(), 0); }, alone);
  add_row(
      "interval, median half width (mm)",
      [](const TreeErrors& e) { return report::format_fixed(e.all.median_half_width(), 2); }, all);
  add_row(
      "cross-sections on a true vessel (%)",
      [](const TreeErrors& e) { return report::format_fixed(100 * e.matched / e.cross_sections, 0); }, all);
  add_row(
      "walls from the picture (%)",
      [](const TreeErrors& e) { return report::format_fixed(100 * e.from_image / e.cross_sections, 0); }, all);
  return table;
}

Table stenosis_table(const AllErrors& errors) {
  std::vector<Table::Column> columns{{"in the projection"}, {"made", 0}};
  for (const char* way : kWays) {
    columns.insert(columns.end(), {{concat(way, ": on a path"), 0}, {"error"}, {"among all segments", 0}});
  }
  Table table(std::move(columns));
  for (std::size_t h = 0; h < kHidden.size(); ++h) {
    std::vector<report::Cell> row{kHidden[h], static_cast<double>(errors[0].stenoses[h].made)};
    for (const TreeErrors& e : errors) {
      const StenosisTally& tally = e.stenoses[h];
      row.insert(row.end(), {tally.on_path.n(), tally.on_path.text(1), static_cast<double>(tally.found_alone)});
    }
    table.add_row(std::move(row));
  }
  const auto add_row = [&](const char* name, int TreeErrors::*count) {
    const double none = std::nan("");
    std::vector<report::Cell> row{name, none};
    for (const TreeErrors& e : errors) {
      row.insert(row.end(), {none, "", report::format_fixed(static_cast<double>(e.*count) / kPhantoms, 1)});
    }
    table.add_row(std::move(row));
  };
  add_row("other lesions per picture", &TreeErrors::false_lesions);
  add_row("left out at ends, per picture", &TreeErrors::excluded);
  return table;
}

}  // namespace

PhantomAccuracy measure_phantoms(const std::string& model_path, const CommonOptions& common) {
  const std::string path = model_path.empty() ? default_model() : model_path;
  const Model model = open_model(path, common);
  const engine::Segmenter segmenter(model.engine, preprocess::options_from_json(model.info.preprocessing, path));
  AllErrors errors;
  phantom::Options options;
  options.stenosis = true;
  for (int i = 0; i < kPhantoms; ++i) {
    const Phantom p = make_phantom(options, Rng(common.seed).fork(static_cast<std::uint64_t>(i)).next());
    image::ImageF grey(p.image.height(), p.image.width());
    std::copy(p.image.begin(), p.image.end(), grey.begin());
    const image::ImageF probability = segmenter.segment(grey).probability;
    const TrueVessels truth = true_vessels(p);
    measure_phantom(p, truth, p.mask, {}, errors[0]);
    measure_phantom(p, truth, p.mask, grey, errors[1]);
    measure_phantom(p, truth, probability, {}, errors[2]);
    measure_phantom(p, truth, probability, grey, errors[3]);
    log_info("phantom ", i + 1, " of ", kPhantoms);
  }
  Json json{{"phantoms", kPhantoms}, {"size", options.size}, {"spacing_mm", options.field_mm / options.size}};
  constexpr std::array kKeys{"exact_masks", "exact_masks_picture", "model", "model_picture"};
  for (std::size_t way = 0; way < kWays.size(); ++way) json[kKeys[way]] = json_of(errors[way]);
  return {diameter_table(errors), stenosis_table(errors), std::move(json)};
}

}  // namespace cmunet::cli
