// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dataset/store.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/random.h"
#include "cmunet/base/safetensors.h"
#include "cmunet/base/version.h"

namespace cmunet::dataset {
namespace {

namespace fs = std::filesystem;

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() : dir(fs::temp_directory_path() / concat("cmunet_store_", ::getpid())) {
    fs::remove_all(dir);
    fs::create_directories(dir);
  }
  ~StoreTest() override { fs::remove_all(dir); }

  static Record record_of(const std::string& id, Split split) {
    Record record;
    record.id = record.group = record.source = id;
    record.split = split;
    return record;
  }

  // `count` images of 4×6, every third without a mask.
  void write(int count) {
    StoreWriter writer(dir, 4, 6);
    for (int i = 0; i < count; ++i) {
      image::ImageF picture(4, 6, static_cast<float>(i));
      image::Mask mask(4, 6);
      mask.at(i % 4, i % 6) = 1;
      Record record = record_of("image" + std::to_string(i), i % 2 == 0 ? Split::kTrain : Split::kTest);
      if (i == 1) record.spacing_mm = image::Spacing{0.25, 0.5};
      writer.add(record, picture, i % 3 == 2 ? image::Mask{} : mask);
    }
    writer.finish({{"preprocessing", {{"size", 4}}}});
  }

  static ErrorCode code_of(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& e) {
      return e.code();
    }
    ADD_FAILURE() << "no Error was thrown";
    return ErrorCode::kInternal;
  }

  void edit_manifest(const std::function<void(Json&)>& change) {
    Json manifest = load_json(dir / "manifest.json");
    change(manifest);
    save_json(dir / "manifest.json", manifest);
  }

  fs::path dir;
};

TEST_F(StoreTest, RoundTripAcrossShards) {
  write(300);  // two shards
  const Store store = Store::open(dir);
  ASSERT_EQ(store.records().size(), 300U);
  EXPECT_TRUE(fs::exists(dir / "images-00001.safetensors"));
  EXPECT_FLOAT_EQ(store.image(299)[5], 299.0F);
  EXPECT_EQ(store.mask(258)[2 * 6 + 0], 1);  // 258: row 2, column 0
  EXPECT_TRUE(store.mask(2).empty());
  EXPECT_FALSE(store.records()[2].has_mask);
  EXPECT_EQ(store.records()[1].spacing_mm, (image::Spacing{0.25, 0.5}));
  EXPECT_FALSE(store.records()[0].spacing_mm.has_value());
  EXPECT_EQ(store.records()[1].split, Split::kTest);
  EXPECT_EQ(store.manifest()["preprocessing"]["size"], 4);
  EXPECT_NO_THROW(store.verify());
  EXPECT_THROW(store.image(300), Error);
  for (const char* shard : {"images-00001.safetensors", "masks-00000.safetensors"}) {
    EXPECT_EQ(SafetensorsFile::open(dir / shard).metadata().at("disclaimer"), kDisclaimer);
  }
}

TEST_F(StoreTest, NothingCountsUntilFinish) {
  {
    StoreWriter writer(dir, 2, 2);
    writer.add(record_of("a", Split::kTrain), image::ImageF(2, 2), {});
  }
  EXPECT_EQ(code_of([&] { Store::open(dir); }), ErrorCode::kNotFound);
}

TEST_F(StoreTest, WriterRefusesWhatDoesNotFit) {
  StoreWriter writer(dir, 2, 2);
  writer.add(record_of("a", Split::kTrain), image::ImageF(2, 2), {});
  EXPECT_THROW(writer.add(record_of("a", Split::kTrain), image::ImageF(2, 2), {}), Error);
  EXPECT_THROW(writer.add(record_of("b", Split::kTrain), image::ImageF(2, 3), {}), Error);
  EXPECT_THROW(writer.add(record_of("c", Split::kTrain), image::ImageF(2, 2), image::Mask(2, 2, 255)), Error);
  EXPECT_THROW(StoreWriter(dir, 2, 2).finish({}), Error);
}

TEST_F(StoreTest, DamageIsNamed) {
  write(5);
  EXPECT_EQ(code_of([&] { Store::open(dir / "none"); }), ErrorCode::kNotFound);
  edit_manifest([](Json& m) { m["version"] = 99; });
  EXPECT_EQ(code_of([&] { Store::open(dir); }), ErrorCode::kUnsupported);
  edit_manifest([](Json& m) { m["version"] = 1, m["height"] = 5; });
  EXPECT_EQ(code_of([&] { Store::open(dir); }), ErrorCode::kCorrupt);
  edit_manifest([](Json& m) { m["height"] = 4, m["images"][0]["split"] = "trian"; });
  EXPECT_EQ(code_of([&] { Store::open(dir); }), ErrorCode::kCorrupt);
  edit_manifest([](Json& m) { m["images"][0]["split"] = "train", m["images"][0].erase("hash"); });
  EXPECT_EQ(code_of([&] { Store::open(dir); }), ErrorCode::kCorrupt);
  edit_manifest([](Json& m) { m["images"][0]["hash"] = "0"; });
  const Store store = Store::open(dir);
  EXPECT_EQ(code_of([&] { store.verify(); }), ErrorCode::kCorrupt);
  fs::remove(dir / "masks-00000.safetensors");
  EXPECT_EQ(code_of([&] { Store::open(dir); }), ErrorCode::kNotFound);
}

TEST_F(StoreTest, ContentHashFollowsTheContentAlone) {
  write(4);
  const std::string first = Store::open(dir).content_hash();
  write(4);
  EXPECT_EQ(Store::open(dir).content_hash(), first);
  write(5);
  EXPECT_NE(Store::open(dir).content_hash(), first);
}

TEST_F(StoreTest, LabelSubsetsAreNestedSeededAndLabelled) {
  write(60);
  const Store store = Store::open(dir);
  const auto ten = label_subset(store, Split::kTrain, 10, 5);
  const auto four = label_subset(store, Split::kTrain, 4, 5);
  EXPECT_TRUE(std::equal(four.begin(), four.end(), ten.begin()));
  EXPECT_NE(label_subset(store, Split::kTrain, 10, 6), ten);
  for (const std::size_t i : ten) {
    EXPECT_TRUE(store.records()[i].has_mask);
    EXPECT_EQ(store.records()[i].split, Split::kTrain);
  }
  EXPECT_THROW(label_subset(store, Split::kTrain, 31, 5), Error);
}

}  // namespace
}  // namespace cmunet::dataset
