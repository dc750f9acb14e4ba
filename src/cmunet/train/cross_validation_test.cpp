// SPDX-License-Identifier: Apache-2.0
// Fine-tuning for cross-validation: folds of the fine-tuning set and nothing else; and the optional losses.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <set>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/train/finetune.h"
#include "cmunet/train/tiny_store_test.h"

namespace cmunet::train {
namespace {

namespace fs = std::filesystem;

class CrossValidation : public ::testing::Test {
 protected:
  CrossValidation() {
    torch::set_num_threads(2);
    write_tiny_store(folder / "store");
    options.unet = {1, 2, 2};
    options.epochs = 3;
    options.batch_size = 4;
    options.lr = 5e-3;
  }

  Json run(const std::string& name, int labels = 0) const {
    FinetuneRequest request;
    request.store = folder / "store";
    request.out = folder / name;
    request.labels = labels;
    return finetune(options, request, {});
  }

  Json run_fold(const std::string& name, int fold) {
    options.validation = Validation::kFold;
    options.fold = fold;
    return run(name);
  }

  std::vector<Json> rows_of(const std::string& name) const { return load_json_lines(folder / name / "metrics.jsonl"); }

  std::string weights_of(const std::string& name) const {
    return read_file(folder / name / "checkpoints" / "last.state.safetensors");
  }

  // Overwrites what the store holds of all records from `first` on: images by NaN, masks by their opposite.
  void spoil_from(std::size_t first) const {
    constexpr std::size_t kPixels = 64 * 64, kRecords = 17;
    for (const auto& [name, bytes] : {std::pair<const char*, std::size_t>{"images-00000.safetensors", sizeof(float)},
                                      {"masks-00000.safetensors", 1}}) {
      std::string content = read_file(folder / "store" / name);
      const std::size_t tail = (kRecords - first) * kPixels * bytes;
      char* const begin = content.data() + content.size() - tail;
      const float nan = std::nanf("");
      for (std::size_t i = 0; i < tail; i += bytes) {
        if (bytes == 1) {
          begin[i] = static_cast<char>(1 - begin[i]);
        } else {
          std::memcpy(begin + i, &nan, sizeof nan);
        }
      }
      std::ofstream(folder / "store" / name, std::ios::binary) << content;
    }
  }

  ScratchFolder folder;
  FinetuneOptions options;
};

TEST_F(CrossValidation, FoldsDivideTheFineTuningSet) {
  std::multiset<std::string> measured;
  for (int fold = 0; fold < 3; ++fold) {
    const Json record = run_fold(concat("fold", fold), fold);
    const auto learnt = record["image_ids"].get<std::set<std::string>>();
    EXPECT_EQ(learnt.size(), 4U);
    for (const Json& id : record["validation_ids"]) {
      EXPECT_FALSE(learnt.contains(id.get<std::string>()));
      measured.insert(id.get<std::string>());
    }
    EXPECT_EQ(record["selected_by"], concat("mean per-image Dice on fold ", fold + 1, " of 3"));
  }
  EXPECT_EQ(measured, (std::multiset<std::string>{"p10", "p11", "p6", "p7", "p8", "p9"}));
}

TEST_F(CrossValidation, FoldsOfTheStoreAreTaken) {
  Json manifest = load_json(folder / "store" / "manifest.json");
  for (std::size_t i = 6; i < 12; ++i) manifest["images"][i]["fold"] = i < 8 ? 2 : i % 2;
  save_json(folder / "store" / "manifest.json", manifest);
  for (const auto& [fold, ids] : {std::pair{0, std::set<std::string>{"p8", "p10"}},
                                  {1, std::set<std::string>{"p9", "p11"}},
                                  {2, std::set<std::string>{"p6", "p7"}}}) {
    EXPECT_EQ(run_fold(concat("fold", fold), fold)["validation_ids"].get<std::set<std::string>>(), ids);
  }
  options.folds = 2;
  EXPECT_EQ(run_fold("half", 0)["validation_ids"].size(), 3U);
}

TEST_F(CrossValidation, NothingButTheFineTuningSetIsRead) {
  run_fold("fold", 1);
  options.validation = Validation::kNone;
  run("final");
  spoil_from(12);  // val and test
  run_fold("fold_again", 1);
  EXPECT_EQ(weights_of("fold"), weights_of("fold_again"));
  EXPECT_EQ(rows_of("fold").back()["val_dice"], rows_of("fold_again").back()["val_dice"]);
  options.validation = Validation::kNone;
  run("final_again");
  EXPECT_EQ(weights_of("final"), weights_of("final_again"));
}

TEST_F(CrossValidation, RunsOfFoldsAreAsLongAsTheFinalOne) {
  options.batch_size = 4;  // an epoch of the six has two steps, one of a fold's four images would have one
  const Json fold = run_fold("fold", 0);
  options.validation = Validation::kNone;
  const Json whole = run("final");
  EXPECT_EQ(fold["steps"], 6);
  EXPECT_EQ(whole["steps"], 6);
  const auto fold_rows = rows_of("fold"), rows = rows_of("final");
  ASSERT_EQ(fold_rows.size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(fold_rows[i]["step"], rows[i]["step"]);
    EXPECT_TRUE(fold_rows[i].contains("val_dice"));
    EXPECT_FALSE(rows[i].contains("val_dice"));
  }
  EXPECT_EQ(whole["selected_by"], "last step");
  EXPECT_FALSE(fs::exists(folder / "final" / "checkpoints" / "best.safetensors"));
}

TEST_F(CrossValidation, AShorterRunCanKeepALongerSchedule) {
  options.schedule = Schedule::kCosine;
  options.steps = 8;
  options.validate_every_steps = 4;
  run("long");
  options.steps = 4;
  options.schedule_steps = 8;
  run("short");
  EXPECT_EQ(rows_of("short").back()["lr"], rows_of("long").front()["lr"]);
  EXPECT_EQ(rows_of("short").back()["loss"], rows_of("long").front()["loss"]);
}

TEST_F(CrossValidation, MoreFoldsThanImagesAreRefused) {
  options.validation = Validation::kFold;
  EXPECT_THROW(run("few", 2), Error);
  options.fold = 3;
  EXPECT_THROW(run("fourth"), Error);
}

TEST_F(CrossValidation, ARunThatDivergesSaysSo) {
  options.lr = 1e30;
  options.steps = 8;
  try {
    run("diverging");
    FAIL() << "the loss stayed finite";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kNumeric);
  }
  EXPECT_TRUE(load_json(folder / "diverging" / "run.json")["exit"].get<std::string>().starts_with("diverged"));
}

TEST_F(CrossValidation, CentrelineTermsAreAddedWithTheirWeights) {
  options.steps = 1;
  options.lambda_cl_dice = 0.3;
  options.lambda_skeleton_recall = 0.2;
  run("terms");
  const Json row = rows_of("terms").front();
  EXPECT_NEAR(row["loss"].get<double>(),
              row["loss_dice"].get<double>() + row["loss_cross_entropy"].get<double>() +
                  0.3 * row["loss_cl_dice"].get<double>() + 0.2 * row["loss_skeleton_recall"].get<double>(),
              1e-5);
  EXPECT_GT(row["loss_cl_dice"].get<double>(), 0);
  options.lambda_cl_dice = options.lambda_skeleton_recall = 0;
  run("plain");
  EXPECT_FALSE(rows_of("plain").front().contains("loss_cl_dice"));
}

TEST(SkeletonTubes, FollowTheMiddleAndStayInside) {
  at::Tensor masks = torch::zeros({2, 24, 40}, torch::kByte);
  masks[0].slice(0, 8, 17).slice(1, 5, 35).fill_(1);   // a bar of nine rows: its middle is row 12
  masks[1].slice(0, 11, 14).slice(1, 5, 35).fill_(1);  // of three: the tube is cut to it
  const at::Tensor tubes = skeleton_tubes(masks);
  EXPECT_EQ(tubes.scalar_type(), torch::kByte);
  EXPECT_EQ((tubes * (1 - masks)).sum().item<std::int64_t>(), 0);
  const at::Tensor column = tubes[0].select(1, 20);
  for (std::int64_t y = 0; y < 24; ++y) EXPECT_EQ(column[y].item<int>(), std::abs(y - 12) <= 2) << y;
  EXPECT_TRUE(tubes[1].select(1, 20).equal(masks[1].select(1, 20)));
  EXPECT_TRUE(skeleton_tubes(masks.to(torch::kLong)).equal(tubes));
}

}  // namespace
}  // namespace cmunet::train
