// SPDX-License-Identifier: Apache-2.0
// The program `cmunet`: everything that needs no LibTorch; the training verbs are handed to `cmunet-train`.
#include <array>

#include "cmunet/cli/command.h"

int main(int argc, char** argv) {
  using namespace cmunet::cli;
  static constexpr std::array<Command, 1> kCommands{{
      {"phantom", "make synthetic angiograms with exactly known vessels", add_phantom},
  }};
  static constexpr std::array<std::pair<const char*, const char*>, 4> kTrainCommands{{
      {"pretrain", "learn from unlabelled angiograms"},
      {"finetune", "learn to segment from labelled angiograms"},
      {"predict", "segment angiograms with a model"},
      {"evaluate-model", "evaluate a model on a store (evaluate calls it)"},
  }};
  return run_program(argc, argv, "Segments coronary arteries in X-ray angiograms.", kCommands, kTrainCommands,
                     "cmunet-train");
}
