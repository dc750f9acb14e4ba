// SPDX-License-Identifier: Apache-2.0
#include "cmunet/image/thinning.h"

#include <array>
#include <utility>
#include <vector>

namespace cmunet::image {
namespace {

// Which of the two passes removes a pixel: bit 0 the first, bit 1 the second.
using PassTable = std::array<std::uint8_t, 256>;

// Neighbours in the order of the 8-bit code, clockwise from north-west: bit k is set when neighbour k is.
constexpr std::array<std::pair<int, int>, 8> kNeighbours{
    {{-1, -1}, {-1, 0}, {-1, 1}, {0, 1}, {1, 1}, {1, 0}, {1, -1}, {0, -1}}};

// The conditions of Zhang & Suen: 2…6 neighbours, one 0→1 transition around the pixel, and per pass two products.
constexpr std::uint8_t zhang_suen_passes(unsigned code) {
  const auto bit = [code](unsigned k) { return (code >> (k % 8)) & 1U; };
  unsigned count = 0, transitions = 0;
  for (unsigned k = 0; k < 8; ++k) {
    count += bit(k);
    transitions += bit(k) == 0 && bit(k + 1) == 1 ? 1U : 0U;
  }
  if (count < 2 || count > 6 || transitions != 1) return 0;
  const unsigned north = bit(1), east = bit(3), south = bit(5), west = bit(7);
  const bool first = (north & east & south) == 0 && (east & south & west) == 0;
  const bool second = (north & east & west) == 0 && (north & south & west) == 0;
  return static_cast<std::uint8_t>((first ? 1 : 0) | (second ? 2 : 0));
}

// Where scikit-image's skeletonize departs from that rule (observed by comparing all 256 neighbourhoods): corners of
// diagonal staircases go (10, 40, 130, 160 and their kin), and end points are taken by one pass instead of both.
constexpr std::array<std::pair<std::uint8_t, std::uint8_t>, 25> kDepartures{
    {{3, 1},   {6, 1},   {10, 3},  {11, 1},  {12, 1},  {14, 1},  {24, 2},  {26, 2},  {40, 3},
     {48, 0},  {56, 2},  {96, 2},  {104, 2}, {108, 2}, {129, 0}, {130, 3}, {131, 1}, {134, 1},
     {160, 3}, {161, 1}, {176, 2}, {192, 2}, {194, 1}, {198, 1}, {224, 2}}};

constexpr PassTable make_scikit_table() {
  PassTable table{};
  for (unsigned code = 0; code < 256; ++code) table[code] = zhang_suen_passes(code);
  for (const auto& [code, passes] : kDepartures) table[code] = passes;
  return table;
}

// The conditions of Guo & Hall, algorithm A1: one 8-connected part around the pixel, 2…3 neighbours when pairs of
// adjacent ones count once, and per pass a direction from which it is removed.
constexpr std::uint8_t guo_hall_passes(unsigned code) {
  const auto bit = [code](unsigned k) { return ((code >> k) & 1U) != 0; };
  const bool nw = bit(0), n = bit(1), ne = bit(2), e = bit(3), se = bit(4), s = bit(5), sw = bit(6), w = bit(7);
  const int parts = int{!n && (ne || e)} + int{!e && (se || s)} + int{!s && (sw || w)} + int{!w && (nw || n)};
  const int pairs = int{nw || n} + int{ne || e} + int{se || s} + int{sw || w};
  const int other_pairs = int{n || ne} + int{e || se} + int{s || sw} + int{w || nw};
  const int fewer = pairs < other_pairs ? pairs : other_pairs;
  if (parts != 1 || fewer < 2 || fewer > 3) return 0;
  const bool first = !((s || sw || !nw) && w), second = !((n || ne || !se) && e);
  return static_cast<std::uint8_t>((first ? 1 : 0) | (second ? 2 : 0));
}

constexpr PassTable make_guo_hall_table() {
  PassTable table{};
  for (unsigned code = 0; code < 256; ++code) table[code] = guo_hall_passes(code);
  return table;
}

// A pixel whose neighbours are all set is never removed, so only the border of the shape is looked at; it moves inwards
// as pixels go.
class Thinner {
 public:
  Thinner(const Mask& mask, const PassTable& table)
      : table_(table), padded_(mask.height() + 2, mask.width() + 2), queued_(mask.height() + 2, mask.width() + 2) {
    // One pixel of background around spares the checks of the image border.
    for (int y = 0; y < mask.height(); ++y) {
      for (int x = 0; x < mask.width(); ++x) padded_.at(y + 1, x + 1) = mask.at(y, x) != 0 ? 1 : 0;
    }
    for (int y = 1; y <= mask.height(); ++y) {
      for (int x = 1; x <= mask.width(); ++x) {
        if (neighbourhood(y, x) != 255) queue(y, x);
      }
    }
  }

  // One of the two passes. Returns whether it took a pixel away.
  bool run(std::uint8_t pass) {
    std::vector<std::pair<int, int>> gone;
    std::erase_if(border_, [&](const std::pair<int, int>& p) {
      const bool goes = (table_[neighbourhood(p.first, p.second)] & pass) != 0;
      if (goes) gone.push_back(p);
      return goes;
    });
    // Removed together after the pass: each pixel was judged on the same picture.
    for (const auto& [y, x] : gone) padded_.at(y, x) = 0;
    for (const auto& [y, x] : gone) {
      for (const auto& [dy, dx] : kNeighbours) queue(y + dy, x + dx);
    }
    return !gone.empty();
  }

  bool is_set(int y, int x) const { return padded_.at(y + 1, x + 1) != 0; }

 private:
  unsigned neighbourhood(int y, int x) const {
    unsigned code = 0;
    for (unsigned k = 0; k < 8; ++k) {
      code |= static_cast<unsigned>(padded_.at(y + kNeighbours[k].first, x + kNeighbours[k].second)) << k;
    }
    return code;
  }

  void queue(int y, int x) {
    if (padded_.at(y, x) == 0 || queued_.at(y, x) != 0) return;
    queued_.at(y, x) = 1;
    border_.emplace_back(y, x);
  }

  const PassTable& table_;
  Mask padded_, queued_;
  std::vector<std::pair<int, int>> border_;
};

Mask thin_by(const PassTable& table, const Mask& mask) {
  Thinner thinner(mask, table);
  for (bool removed = true; removed;) {
    removed = thinner.run(1);
    removed = thinner.run(2) || removed;
  }
  Mask skeleton(mask.height(), mask.width());
  skeleton.spacing_mm = mask.spacing_mm;
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) skeleton.at(y, x) = thinner.is_set(y, x) ? 1 : 0;
  }
  return skeleton;
}

}  // namespace

Mask thin(const Mask& mask) {
  static constexpr PassTable kTable = make_scikit_table();
  return thin_by(kTable, mask);
}

Mask thin_connected(const Mask& mask) {
  static constexpr PassTable kTable = make_guo_hall_table();
  return thin_by(kTable, mask);
}

}  // namespace cmunet::image
