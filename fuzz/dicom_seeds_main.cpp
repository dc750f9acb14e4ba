// SPDX-License-Identifier: Apache-2.0
// cmunet_dicom_seeds FOLDER: writes the seeds as files, for libFuzzer.
#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "dicom_seeds.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::filesystem::create_directories(argv[1]);
  int number = 0;
  for (const cmunet::fuzz::Seed& seed : cmunet::fuzz::dicom_seeds()) {
    cmunet::write_file_atomic(std::filesystem::path(argv[1]) / cmunet::concat("seed_", ++number), seed.bytes);
  }
}
