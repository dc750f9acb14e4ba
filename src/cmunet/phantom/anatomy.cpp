// SPDX-License-Identifier: Apache-2.0
#include "cmunet/phantom/anatomy.h"

namespace cmunet::phantom {
namespace {

// First places are only hints for the reader: growing puts the parent's point there.

Route right_coronary() {
  const Route posterior_descending{"PDA", {{2, 180}, {16, 180}, {36, 178}, {60, 176}}, {}};
  const Route second_posterolateral{"PL", {{1, 158}, {18, 156}, {38, 150}}, {}};
  const Route first_marginal{"AM", {{2, 244}, {20, 248}, {40, 240}, {62, 228}}, {}};
  const Route ventricular{"RV", {{2, 278}, {18, 286}, {38, 290}}, {}};
  const Route conus{"conus", {{-4, 305, 0.75}, {8, 318}, {22, 330}}, {}};
  const Route sinus_node{"SA", {{-4, 300, 0.8}, {-22, 290, 0.95}, {-42, 278, 0.95}}, {}};
  // Around the right half of the ring to the crux at longitude 180, then on to the inferior left wall.
  return {"RCA",
          {{-16, 335, 0.42},
           {-4, 305, 0.80},
           {0, 286, 1.02},
           {2, 260, 1.06},
           {3, 232, 1.06},
           {2, 206, 1.02},
           {1, 184, 1.0},
           {-1, 166, 0.99},
           {8, 150},
           {24, 140},
           {42, 134}},
          {{0.12, 0.42, 0.8, conus},
           {0.15, 0.36, 0.7, sinus_node},
           {0.27, 0.42, 0.7, ventricular},
           {0.42, 0.52, 0.9, first_marginal},
           {0.645, 0.76, 1, posterior_descending},
           {0.74, 0.66, 0.85, second_posterolateral}}};
}

Route left_coronary() {
  const Route first_septal{"S", {{12, 10}, {24, 4, 0.80}, {36, 0, 0.62}, {46, 0, 0.5}}, {}};
  const Route second_septal{"S", {{26, 3}, {36, 2, 0.82}, {46, 0, 0.64}}, {}};
  const Route third_septal{"S", {{40, 0}, {48, 0, 0.84}, {55, 0, 0.7}}, {}};
  const Route first_diagonal{"D", {{14, 12}, {28, 26}, {44, 38}, {60, 46}}, {}};
  const Route second_diagonal{"D", {{34, 2}, {48, 18}, {62, 28}}, {}};
  const Route third_diagonal{"D", {{54, 0}, {66, 20}, {74, 34}}, {}};
  const Route first_marginal{"OM", {{0, 74}, {16, 74}, {38, 72}, {60, 70}}, {}};
  const Route second_marginal{"OM", {{2, 104}, {20, 106}, {42, 106}, {60, 102}}, {}};
  const Route atrial{"LA", {{-2, 60, 0.95}, {-20, 74, 0.95}, {-38, 92, 0.95}}, {}};
  const Route circumflex{
      "LCX",
      {{-3, 32, 0.85}, {-3, 46, 0.97}, {0, 66, 1.03}, {2, 90, 1.04}, {3, 114, 1.03}, {8, 134}, {22, 146}, {40, 152}},
      {{0.16, 0.38, 0.6, atrial}, {0.27, 0.68, 0.95, first_marginal}, {0.54, 0.66, 0.85, second_marginal}}};
  return {"LAD",
          {{-16, 62, 0.42},
           {-8, 42, 0.68},
           {-2, 27, 0.88},
           {8, 14, 1.0},
           {24, 4, 1.03},
           {42, 0, 1.04},
           {60, -2, 1.03},
           {76, -3, 1.01},
           {92, -3, 1.0},
           {104, -2, 1.0}},
          {{0.14, 0.80, 1, circumflex},
           {0.26, 0.36, 0.9, first_septal},
           {0.31, 0.60, 0.95, first_diagonal},
           {0.40, 0.34, 0.8, second_septal},
           {0.50, 0.56, 0.85, second_diagonal},
           {0.56, 0.34, 0.7, third_septal},
           {0.68, 0.50, 0.6, third_diagonal}}};
}

}  // namespace

const Route& route_of(Artery artery) {
  static const Route right = right_coronary(), left = left_coronary();
  return artery == Artery::kRight ? right : left;
}

}  // namespace cmunet::phantom
