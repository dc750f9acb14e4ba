// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "cmunet/base/random.h"

namespace cmunet {
namespace {

// The permutation of scikit-learn 1.x with random_state=42.
TEST(NumpyPermutation, MatchesScikitLearn) {
  EXPECT_EQ(numpy_permutation(42, 10), (std::vector<std::int64_t>{8, 1, 5, 0, 7, 2, 9, 4, 3, 6}));
}

}  // namespace
}  // namespace cmunet
