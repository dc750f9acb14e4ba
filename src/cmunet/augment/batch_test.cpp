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

}  // namespace
}  // namespace cmunet::augment
