// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/postprocess_search.h"

#include <array>

namespace cmunet::cli {
namespace {

using engine::PostprocessOptions;

class Search {
 public:
  explicit Search(const ScorePostprocess& score) : score_(score) {
    trials_.push_back({"threshold 0.5", {}, score_({}), true});
    best_ = trials_.front();
  }

  // Tries settings on top of the best so far; is_better(trial, best) decides.
  template <typename IsBetter>
  void step(const char* name, const std::vector<PostprocessOptions>& settings, IsBetter is_better) {
    PostprocessTrial left_out = best_;
    left_out.step = name;
    left_out.is_chosen = false;
    std::size_t chosen = trials_.size();
    trials_.push_back(left_out);
    for (const PostprocessOptions& options : settings) {
      trials_.push_back({name, options, score_(options), false});
      if (is_better(trials_.back().score, trials_[chosen].score)) chosen = trials_.size() - 1;
    }
    trials_[chosen].is_chosen = true;
    best_ = trials_[chosen];
  }

  const PostprocessTrial& best() const { return best_; }
  std::vector<PostprocessTrial> trials() const { return trials_; }

 private:
  const ScorePostprocess& score_;
  std::vector<PostprocessTrial> trials_;
  PostprocessTrial best_;
};

// The best settings so far with one member set to each of the values.
template <typename Member, typename Values>
std::vector<PostprocessOptions> variations(const PostprocessOptions& base, Member member, const Values& values) {
  std::vector<PostprocessOptions> result;
  for (const auto value : values) {
    result.push_back(base);
    result.back().*member = value;
  }
  return result;
}

// Longer or fainter bridges would mend still more breaks, and draw vessels through what may be an occlusion.
std::vector<PostprocessOptions> bridges(const PostprocessOptions& base) {
  std::vector<PostprocessOptions> result;
  for (const std::int64_t gap : {4, 8, 12}) {
    for (const double probability : {0.3, 0.2, 0.1}) {
      result.push_back(base);
      result.back().max_gap_px = gap;
      result.back().min_gap_probability = probability;
    }
  }
  return result;
}

}  // namespace

std::vector<PostprocessTrial> search_postprocessing(const ScorePostprocess& score, bool with_flips) {
  const auto more_overlap = [](const PostprocessScore& a, const PostprocessScore& b) {
    return a.overlap() > b.overlap();
  };
  Search search(score);
  if (with_flips) {
    search.step("flips", variations(search.best().options, &PostprocessOptions::flips, std::array{true}), more_overlap);
  }
  search.step("threshold",
              variations(search.best().options, &PostprocessOptions::threshold,
                         std::array{0.25, 0.3, 0.35, 0.4, 0.45, 0.55, 0.6, 0.65}),
              more_overlap);
  std::vector<double> low;
  for (const double value : {0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5}) {
    if (value < search.best().options.threshold) low.push_back(value);
  }
  search.step("hysteresis", variations(search.best().options, &PostprocessOptions::low_threshold, low), more_overlap);
  search.step("small parts",
              variations(search.best().options, &PostprocessOptions::min_area_px,
                         std::array{10, 20, 30, 50, 75, 100, 150, 200}),
              more_overlap);
  const double floor = search.best().score.overlap() - kBridgingTolerance;
  search.step("bridges", bridges(search.best().options), [=](const PostprocessScore& a, const PostprocessScore& b) {
    return a.overlap() >= floor && a.breaks_per_100px < b.breaks_per_100px;
  });
  return search.trials();
}

}  // namespace cmunet::cli
