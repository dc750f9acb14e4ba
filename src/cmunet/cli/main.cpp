// SPDX-License-Identifier: Apache-2.0
// The program `cmunet`: everything that needs no LibTorch; the training verbs are handed to `cmunet-train`.
#include <array>

#include "cmunet/cli/command.h"

int main(int argc, char** argv) {
  using namespace cmunet::cli;
  static constexpr auto kCommands = std::to_array<Command>({
      {"demo", "do the whole job on synthetic angiograms and write a report", add_demo, Device::kOwn},
      {"phantom", "make synthetic angiograms with exactly known vessels", add_phantom},
      {"prepare", "turn images into a store that training reads", add_prepare},
      {"anonymize", "copy DICOM runs without the patient", add_anonymize},
      {"evaluate", "measure segmentations against the truth", add_evaluate, Device::kElsewhere},
      {"predict", "segment angiograms with a model", add_predict, Device::kElsewhere},
      {"postprocess", "choose post-processing on validation images", add_postprocess},
      {"node", "take runs from a PACS and send results back", add_node},
      {"dicomweb", "find, fetch and store DICOM objects over the web", add_dicomweb},
      {"measure", "measure diameters and stenoses of vessels", add_measure},
      {"compare", "test whether evaluations of the same images differ", add_compare},
      {"tune", "choose settings of fine-tuning by cross-validation", add_tune, Device::kOwn},
      {"benchmark", "compare pre-training methods over labels and seeds", add_benchmark, Device::kOwn},
      {"export", "write a model as ONNX", add_export},
      {"bench", "time the engine on this machine", add_bench},
      {"info", "say what a model, run, store or weight file is", add_info, Device::kElsewhere},
      {"doctor", "find what is wrong with a data set", add_doctor},
  });
  static constexpr auto kTrainCommands = std::to_array<std::pair<const char*, const char*>>({
      {"pretrain", "learn from unlabelled angiograms"},
      {"finetune", "learn to segment from labelled angiograms"},
  });
  return run_program(argc, argv, "Segments coronary arteries in X-ray angiograms.", kCommands, kTrainCommands,
                     kTrainProgram);
}
