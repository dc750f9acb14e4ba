// SPDX-License-Identifier: Apache-2.0
#include "cmunet/base/model_file.h"

#include <gtest/gtest.h>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/scratch_folder.h"

namespace cmunet {
namespace {

ModelInfo example() {
  ModelInfo info;
  info.kind = "segmentation";
  info.method = "supervised";
  info.base_width = 8;
  info.preprocessing = {{"size", 64}};
  info.height = 64;
  info.width = 48;
  info.details = {{"step", 7}};
  return info;
}

// A model file without weights whose description is `text`.
SafetensorsFile file_with(const ScratchFolder& folder, const std::string& text) {
  const std::filesystem::path path = folder.path() / "model.safetensors";
  write_safetensors(path, {}, {{"cmunet", text}});
  return SafetensorsFile::open(path);
}

ErrorCode code_of(const SafetensorsFile& file) {
  try {
    read_model_info(file);
  } catch (const Error& e) {
    return e.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::kInternal;
}

TEST(ModelFile, ComesBackAsItWasWritten) {
  const ScratchFolder folder;
  const ModelInfo info = read_model_info(file_with(folder, model_metadata(example())));
  EXPECT_EQ(info.kind, "segmentation");
  EXPECT_EQ(info.method, "supervised");
  EXPECT_EQ(info.base_width, 8);
  EXPECT_EQ(info.preprocessing, example().preprocessing);
  EXPECT_EQ(info.height, 64);
  EXPECT_EQ(info.width, 48);
  EXPECT_EQ(info.details["step"], 7);
}

TEST(ModelFile, ANameThatIsNotUtf8IsWrittenWithAReplacement) {
  ModelInfo info = example();
  info.details = {{"file", "runs/\xff/last.safetensors"}};
  const ScratchFolder folder;
  const ModelInfo read = read_model_info(file_with(folder, model_metadata(info)));
  EXPECT_EQ(read.details["file"], "runs/\xEF\xBF\xBD/last.safetensors");
}

TEST(ModelFile, RefusesANewerVersionAndAnotherArchitecture) {
  const ScratchFolder folder;
  Json document = Json::parse(model_metadata(example()));
  document["version"] = 2;
  EXPECT_EQ(code_of(file_with(folder, document.dump())), ErrorCode::kUnsupported);
  document["version"] = 1;
  document["architecture"]["name"] = "resnet";
  EXPECT_EQ(code_of(file_with(folder, document.dump())), ErrorCode::kUnsupported);
}

TEST(ModelFile, RefusesAFileThatIsNoModel) {
  const ScratchFolder folder;
  EXPECT_EQ(code_of(file_with(folder, "{}")), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of(file_with(folder, R"({"format": "other", "version": 1})")), ErrorCode::kCorrupt);
  const std::filesystem::path path = folder.path() / "plain.safetensors";
  write_safetensors(path, {}, {});
  EXPECT_EQ(code_of(SafetensorsFile::open(path)), ErrorCode::kCorrupt);
}

TEST(FindModelFile, PrefersTheBestOfARunFolder) {
  const ScratchFolder folder;
  EXPECT_THROW(find_model_file(folder.path() / "nothing"), Error);
  EXPECT_THROW(find_model_file(folder.path()), Error);
  const std::filesystem::path checkpoints = folder.path() / "checkpoints";
  std::filesystem::create_directories(checkpoints);
  write_file_atomic(checkpoints / "last.safetensors", "x");
  EXPECT_EQ(find_model_file(folder.path()), checkpoints / "last.safetensors");
  write_file_atomic(checkpoints / "best.safetensors", "x");
  EXPECT_EQ(find_model_file(folder.path()), checkpoints / "best.safetensors");
  EXPECT_EQ(find_model_file(checkpoints / "last.safetensors"), checkpoints / "last.safetensors");
}

}  // namespace
}  // namespace cmunet
