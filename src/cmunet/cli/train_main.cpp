// SPDX-License-Identifier: Apache-2.0
// The program `cmunet-train`: the commands that need LibTorch. `cmunet` starts it; it can also be called directly.
#include <vector>

#include "cmunet/cli/command.h"

int main(int argc, char** argv) {
  using namespace cmunet::cli;
  const std::vector<Command> commands{
      {"pretrain", "learn from unlabelled angiograms", add_pretrain, Device::kOwn},
      {"finetune", "learn to segment from labelled angiograms", add_finetune, Device::kOwn},
#ifdef CMUNET_IMAGING
      {"evaluate", "measure segmentations against the truth", add_evaluate, Device::kElsewhere},
      {"info", "say what a model, run, store or weight file is", add_info, Device::kElsewhere},
      {"predict", "segment angiograms with a model", add_predict, Device::kElsewhere},
#endif
  };
  return run_program(argc, argv, "The training half of cmunet.", commands);
}
