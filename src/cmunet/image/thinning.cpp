// SPDX-License-Identifier: Apache-2.0
#include "cmunet/image/thinning.h"

#include <array>
#include <utility>

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

constexpr PassTable make_table() {
  PassTable table{};
  for (unsigned code = 0; code < 256; ++code) table[code] = zhang_suen_passes(code);
  for (const auto& [code, passes] : kDepartures) table[code] = passes;
  return table;
}

}  // namespace

Mask thin(const Mask& mask) {
  static constexpr PassTable kTable = make_table();
  // One pixel of background around spares the border checks.
  Mask padded(mask.height() + 2, mask.width() + 2);
  std::vector<std::pair<int, int>> alive;
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) {
      if (mask.at(y, x) == 0) continue;
      padded.at(y + 1, x + 1) = 1;
      alive.emplace_back(y + 1, x + 1);
    }
  }
  for (bool removed = true; removed;) {
    removed = false;
    for (const std::uint8_t pass : {std::uint8_t{1}, std::uint8_t{2}}) {
      std::vector<std::pair<int, int>> kept, gone;
      for (const auto& [y, x] : alive) {
        unsigned code = 0;
        for (unsigned k = 0; k < 8; ++k) {
          code |= static_cast<unsigned>(padded.at(y + kNeighbours[k].first, x + kNeighbours[k].second)) << k;
        }
        ((kTable[code] & pass) != 0 ? gone : kept).emplace_back(y, x);
      }
      // Removed together after the pass: each pixel was judged on the same picture.
      for (const auto& [y, x] : gone) padded.at(y, x) = 0;
      removed = removed || !gone.empty();
      alive = std::move(kept);
    }
  }
  Mask skeleton(mask.height(), mask.width());
  skeleton.spacing_mm = mask.spacing_mm;
  for (const auto& [y, x] : alive) skeleton.at(y - 1, x - 1) = 1;
  return skeleton;
}

}  // namespace cmunet::image
