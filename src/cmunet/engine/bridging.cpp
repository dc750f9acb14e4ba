// SPDX-License-Identifier: Apache-2.0
// Minimal paths between parts of a mask. Each part grows over the background in the order of path cost (Dijkstra 1959
// from all parts at once), which gives every pixel to the part that reaches it most cheaply. Where two such territories
// touch, the two ways back to their parts make one bridge; Kruskal's rule then takes bridges from the cheapest on. The
// cheapest bridges of all pairs of parts are among those of touching territories (Mehlhorn, IPL 1988).
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <queue>
#include <tuple>

#include "cmunet/engine/postprocess.h"
#include "cmunet/image/components.h"

namespace cmunet::engine {
namespace {

using Index = std::size_t;

constexpr double kLeastProbability = 1e-4;  // −log stays finite; far below anything that would be bridged

// What is known of the cheapest way from a part to a pixel, the pixel included.
struct Reached {
  double cost = std::numeric_limits<double>::infinity();
  double probability = 0;   // sum over the way's background pixels
  std::int64_t length = 0;  // their number
  Index from = 0;           // the pixel before
  int part = 0;             // 0: not reached
};

struct Bridge {
  double cost = 0;
  Index a = 0, b = 0;  // neighbouring pixels of two territories
};

class Territories {
 public:
  Territories(const image::Components& parts, const image::ImageF& probability, std::int64_t max_length)
      : height_(probability.height()), width_(probability.width()), reached_(probability.size()) {
    using Entry = std::pair<double, Index>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
    for (Index i = 0; i < reached_.size(); ++i) {
      if (const int part = parts.labels.data()[i]; part > 0) {
        reached_[i] = {0, 0, 0, i, part};
        queue.emplace(0.0, i);
      }
    }
    while (!queue.empty()) {
      const double cost = queue.top().first;
      const Index at = queue.top().second;
      queue.pop();
      if (cost > reached_[at].cost || reached_[at].length == max_length) continue;
      for_each_neighbour(at, [&](Index next, double step) {
        const double p = std::clamp(static_cast<double>(probability.data()[next]), kLeastProbability, 1.0);
        const Reached& here = reached_[at];
        const double next_cost = cost - step * std::log(p);
        if (next_cost >= reached_[next].cost) return;
        reached_[next] = {next_cost, here.probability + p, here.length + 1, at, here.part};
        queue.emplace(next_cost, next);
      });
    }
  }

  const Reached& at(Index i) const { return reached_[i]; }

  // Every pair of neighbours that belong to two parts, cheapest first.
  std::vector<Bridge> bridges() const {
    std::vector<Bridge> result;
    for (Index i = 0; i < reached_.size(); ++i) {
      if (reached_[i].part == 0) continue;
      for_each_neighbour(i, [&](Index j, double) {
        const bool is_border = j > i && reached_[j].part != 0 && reached_[j].part != reached_[i].part;
        if (is_border) result.push_back({reached_[i].cost + reached_[j].cost, i, j});
      });
    }
    std::ranges::sort(result, {}, [](const Bridge& b) { return std::tuple(b.cost, b.a, b.b); });
    return result;
  }

  // Sets the background pixels from `i` back to its part.
  void draw_way(Index i, image::Mask& mask) const {
    for (; reached_[i].length > 0; i = reached_[i].from) mask.data()[i] = 1;
  }

 private:
  template <typename Visit>
  void for_each_neighbour(Index i, Visit visit) const {
    const int y = static_cast<int>(i) / width_, x = static_cast<int>(i) % width_;
    for (int dy = -1; dy <= 1; ++dy) {
      for (int dx = -1; dx <= 1; ++dx) {
        const bool is_inside = y + dy >= 0 && y + dy < height_ && x + dx >= 0 && x + dx < width_;
        if ((dy == 0 && dx == 0) || !is_inside) continue;
        visit(static_cast<Index>((y + dy) * width_ + x + dx), dy != 0 && dx != 0 ? std::sqrt(2.0) : 1.0);
      }
    }
  }

  int height_, width_;
  std::vector<Reached> reached_;
};

int root_of(std::vector<int>& parent, int part) {
  while (parent[static_cast<std::size_t>(part)] != part) {
    int& up = parent[static_cast<std::size_t>(part)];
    up = parent[static_cast<std::size_t>(up)];
    part = up;
  }
  return part;
}

}  // namespace

image::Mask bridge_gaps(const image::Mask& mask, const image::ImageF& probability, std::int64_t max_gap_px,
                        double min_gap_probability) {
  image::check_same_size(mask, probability, "bridge_gaps");
  image::Mask added(mask.height(), mask.width());
  const image::Components parts = image::connected_components(mask, 8);
  if (parts.count < 2) return added;
  const Territories territories(parts, probability, max_gap_px);
  std::vector<int> parent(static_cast<std::size_t>(parts.count) + 1);
  std::iota(parent.begin(), parent.end(), 0);
  for (const Bridge& bridge : territories.bridges()) {
    const Reached &a = territories.at(bridge.a), &b = territories.at(bridge.b);
    const int root_a = root_of(parent, a.part), root_b = root_of(parent, b.part);
    const std::int64_t length = a.length + b.length;
    const double mean_probability = (a.probability + b.probability) / static_cast<double>(length);
    if (root_a == root_b || length > max_gap_px || mean_probability < min_gap_probability) continue;
    parent[static_cast<std::size_t>(root_a)] = root_b;
    territories.draw_way(bridge.a, added);
    territories.draw_way(bridge.b, added);
  }
  return added;
}

}  // namespace cmunet::engine
