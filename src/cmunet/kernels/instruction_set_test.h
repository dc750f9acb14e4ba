// SPDX-License-Identifier: Apache-2.0
// For test programs: the same tests with what older processors have.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdlib>
#include <string_view>

#include "cmunet/kernels/layers.h"

namespace cmunet::kernels {

// Runs all tests with the instruction set that an environment variable names; CMake registers some of the older ones.
class InstructionSet : public testing::Environment {
 public:
  void SetUp() override {
    const char* name = std::getenv("CMUNET_TEST_INSTRUCTION_SET");
    if (name == nullptr) return;
    for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
      if (std::string_view(hwy::TargetName(target)) != name) continue;
      hwy::SetSupportedTargetsForTest(target);
      ASSERT_EQ(instruction_set(), name);
      return;
    }
    GTEST_SKIP() << "this processor has no " << name;
  }
};
inline const testing::Environment* const kInstructionSet = testing::AddGlobalTestEnvironment(new InstructionSet);

}  // namespace cmunet::kernels
