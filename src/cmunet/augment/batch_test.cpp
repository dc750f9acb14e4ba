// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/batch.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <numeric>

#include "cmunet/base/error.h"
#include "cmunet/base/scratch_folder.h"

namespace cmunet::augment {
namespace {

const at::Device kCpu(at::kCPU);

// Five images of 4×6 with value 10·i + 0.5; number 3 has no mask, the others have pixel i set.
dataset::Store small_store(const ScratchFolder& dir) {
  dataset::StoreWriter writer(dir.path(), 4, 6);
  for (int i = 0; i < 5; ++i) {
    dataset::Record record;
    record.id = record.group = record.source = "image" + std::to_string(i);
    image::Mask mask(4, 6);
    mask.at(0, i) = 1;
    writer.add(record, image::ImageF(4, 6, 10.0F * static_cast<float>(i) + 0.5F), i == 3 ? image::Mask{} : mask);
  }
  writer.finish(Json::object());
  return dataset::Store::open(dir.path());
}

TEST(DeviceStore, HoldsTheRecordsAskedForInTheirOrder) {
  const ScratchFolder dir;
  const dataset::Store store = small_store(dir);
  const DeviceStore all = to_device(store, std::vector<std::size_t>{4, 0, 2}, kCpu);
  EXPECT_EQ(all.images.sizes(), (std::vector<std::int64_t>{3, 1, 4, 6}));
  EXPECT_EQ(all.masks.sizes(), (std::vector<std::int64_t>{3, 4, 6}));
  EXPECT_EQ(all.ids, (std::vector<std::string>{"image4", "image0", "image2"}));
  EXPECT_TRUE(all.images.flatten(1).amax(1).equal(torch::tensor({40.5F, 0.5F, 20.5F})));
  EXPECT_TRUE(all.masks.flatten(1).argmax(1).equal(torch::tensor({4, 0, 2}, torch::kLong)));
  EXPECT_FALSE(to_device(store, std::vector<std::size_t>{0, 3}, kCpu).masks.defined());
  EXPECT_EQ(to_device(store, {}, kCpu).images.size(0), 0);
  EXPECT_THROW(to_device(store, std::vector<std::size_t>{5}, kCpu), Error);
}

TEST(DeviceStore, KeepsHalvesAndGathersFloats) {
  const ScratchFolder dir;
  const DeviceStore half = to_device(small_store(dir), std::vector<std::size_t>{0, 1, 2}, kCpu, at::kHalf);
  EXPECT_EQ(half.images.scalar_type(), at::kHalf);
  const std::vector<std::int64_t> rows{2, 0, 2};
  const at::Tensor batch = gather(half.images, rows);
  EXPECT_EQ(batch.scalar_type(), at::kFloat);
  EXPECT_TRUE(batch.flatten(1).amax(1).equal(torch::tensor({20.5F, 0.5F, 20.5F})));
  EXPECT_EQ(gather(half.masks, rows).scalar_type(), at::kByte);
  EXPECT_EQ(gather(half.images, {}).size(0), 0);
  EXPECT_THROW(gather(half.images, std::vector<std::int64_t>{3}), Error);
  EXPECT_THROW(gather(half.images, std::vector<std::int64_t>{-1}), Error);
  EXPECT_THROW(to_device(small_store(ScratchFolder()), std::vector<std::size_t>{0}, kCpu, at::kInt), Error);
}

std::vector<std::int64_t> sizes_of_epoch(EpochSampler sampler) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t i = sampler.steps_per_epoch(); i > 0; --i) {
    sizes.push_back(static_cast<std::int64_t>(sampler.next().size()));
  }
  return sizes;
}

TEST(EpochSampler, VisitsEveryImageOncePerEpochInANewOrder) {
  EpochSampler sampler(10, 4, 7);
  std::vector<std::vector<std::int64_t>> epochs(2);
  for (auto& order : epochs) {
    for (int step = 0; step < 3; ++step) {
      const auto batch = sampler.next();
      order.insert(order.end(), batch.begin(), batch.end());
    }
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_EQ(sampler.position(), (EpochSampler::Position{2, 0}));
  std::vector<std::int64_t> identity(10);
  std::iota(identity.begin(), identity.end(), 0);
  for (auto& order : epochs) {
    EXPECT_NE(order, identity);
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, identity);
  }
  EXPECT_NE(EpochSampler(10, 4, 8).next(), EpochSampler(10, 4, 7).next());
}

TEST(EpochSampler, LeavesOutTooSmallLastBatches) {
  using Sizes = std::vector<std::int64_t>;
  EXPECT_EQ(sizes_of_epoch({10, 4, 1}), (Sizes{4, 4, 2}));
  EXPECT_EQ(sizes_of_epoch({10, 4, 1, 4}), (Sizes{4, 4}));
  EXPECT_EQ(sizes_of_epoch({9, 4, 1, 2}), (Sizes{4, 4}));
  EXPECT_EQ(sizes_of_epoch({10, 4, 1, 2}), (Sizes{4, 4, 2}));
  EXPECT_EQ(sizes_of_epoch({8, 4, 1}), (Sizes{4, 4}));
}

TEST(EpochSampler, ABatchLargerThanTheSetIsTheSet) {
  EXPECT_EQ(sizes_of_epoch({18, 32, 1}), (std::vector<std::int64_t>{18}));
  EXPECT_EQ(sizes_of_epoch({18, 32, 1, 32}), (std::vector<std::int64_t>{18}));
  EXPECT_EQ(EpochSampler(18, 32, 1).batch_size(), 18);
}

TEST(EpochSampler, ContinuesWhereItWasSaved) {
  EpochSampler whole(10, 3, 5);
  for (int i = 0; i < 6; ++i) whole.next();  // into the second epoch
  const EpochSampler::Position saved = whole.position();
  EXPECT_EQ(saved, (EpochSampler::Position{1, 2}));
  EpochSampler resumed(10, 3, 5);
  resumed.seek(saved);
  for (int i = 0; i < 9; ++i) EXPECT_EQ(resumed.next(), whole.next());
  whole.seek({0, 0});
  EXPECT_EQ(whole.next(), EpochSampler(10, 3, 5).next());
}

TEST(EpochSampler, RejectsWhatItCannotDo) {
  EXPECT_THROW(EpochSampler(0, 1, 1), Error);
  EXPECT_THROW(EpochSampler(5, 0, 1), Error);
  EXPECT_THROW(EpochSampler(5, 2, 1, 3), Error);
  EXPECT_THROW(EpochSampler(5, 2, 1, 0), Error);
  EpochSampler sampler(10, 4, 1);
  EXPECT_THROW(sampler.seek({0, 3}), Error);
  EXPECT_THROW(sampler.seek({-1, 0}), Error);
}

}  // namespace
}  // namespace cmunet::augment
