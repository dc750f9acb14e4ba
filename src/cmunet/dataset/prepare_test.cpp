// SPDX-License-Identifier: Apache-2.0
// Importers, preparation, leakage and doctor on small folders written by the test.
#include "cmunet/dataset/prepare.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/base/random.h"
#include "cmunet/codec/codec.h"
#include "cmunet/dataset/doctor.h"
#include "cmunet/dataset/import.h"
#include "cmunet/dataset/leakage.h"
#include "cmunet/image/resize.h"

namespace cmunet::dataset {
namespace {

namespace fs = std::filesystem;
using Bytes = image::Image<std::uint8_t>;

class PrepareTest : public ::testing::Test {
 protected:
  PrepareTest() : dir(fs::temp_directory_path() / concat("cmunet_prepare_", ::getpid())) {
    fs::remove_all(dir);
    fs::create_directories(dir);
  }
  ~PrepareTest() override { fs::remove_all(dir); }

  // Smooth random pictures: no two alike, and none like its own mirror image.
  static Bytes picture(std::uint64_t seed, int size = 40) {
    Rng rng(seed);
    image::ImageF grid(6, 6);
    for (float& v : grid) v = static_cast<float>(rng.uniform(40, 215));
    const image::ImageF large = image::resize_bilinear(grid, size, size);
    Bytes bytes(size, size);
    std::transform(large.begin(), large.end(), bytes.begin(), [](float v) { return static_cast<std::uint8_t>(v); });
    return bytes;
  }

  static Bytes mask(int size = 40, std::uint8_t value = 255) {
    Bytes bytes(size, size);
    for (int i = 5; i < size - 5; ++i) bytes.at(i, size / 2) = value;
    return bytes;
  }

  void write_pair(const fs::path& folder, const std::string& name, std::uint64_t seed, bool with_mask = true) {
    fs::create_directories(folder / "images");
    fs::create_directories(folder / "masks");
    codec::write_png(folder / "images" / (name + ".png"), picture(seed));
    if (with_mask) codec::write_png(folder / "masks" / (name + ".png"), mask());
  }

  PrepareRequest request_for(std::vector<Item> items) {
    PrepareRequest request;
    request.items = std::move(items);
    request.preprocessing.size = 32;
    request.threads = 2;
    return request;
  }

  static ErrorCode code_of(const std::function<void()>& action, std::string* message = nullptr) {
    try {
      action();
    } catch (const Error& e) {
      if (message != nullptr) *message = e.what();
      return e.code();
    }
    ADD_FAILURE() << "no Error was thrown";
    return ErrorCode::kInternal;
  }

  static bool has(const std::vector<Finding>& findings, const std::string& what) {
    return std::ranges::find(findings, what, &Finding::what) != findings.end();
  }

  fs::path dir;
};

TEST_F(PrepareTest, AFolderBecomesAStore) {
  for (int i = 0; i < 10; ++i) write_pair(dir, "p" + std::to_string(i), static_cast<std::uint64_t>(i));
  auto request = request_for(import_folder(dir / "images", dir / "masks", std::nullopt));
  request.rule = parse_split_rule("train=0.5,val=0.2,test=0.3");
  request.folds = 2;
  fs::create_directories(dir / "store");
  const Json manifest = prepare_store(request, dir / "store");
  const Store store = Store::open(dir / "store");
  store.verify();
  ASSERT_EQ(store.records().size(), 10U);
  EXPECT_EQ(store.height(), 32);
  EXPECT_EQ(manifest["statistics"]["splits"]["test"]["images"], 3);
  EXPECT_EQ(manifest["leakage"]["clean"], true);
  EXPECT_GT(manifest["leakage"]["pairs_compared"], 0);
  double mean = 0;
  for (const float v : store.image(3)) mean += static_cast<double>(v) / 1024;
  EXPECT_NEAR(mean, 0, 1e-4);
  EXPECT_GT(std::ranges::count(store.mask(3), 1), 20);
  for (const Record& record : store.records()) EXPECT_EQ(record.fold >= 0, record.split == Split::kTrain);
}

TEST_F(PrepareTest, ThreadsDoNotChangeTheStore) {
  for (int i = 0; i < 7; ++i) write_pair(dir, "p" + std::to_string(i), static_cast<std::uint64_t>(i));
  std::vector<std::string> hashes;
  for (const int threads : {1, 2}) {
    auto request = request_for(import_folder(dir / "images", dir / "masks", Split::kTrain));
    request.threads = threads;
    const fs::path out = dir / concat("store", threads);
    fs::create_directories(out);
    prepare_store(request, out);
    hashes.push_back(Store::open(out).content_hash());
  }
  EXPECT_EQ(hashes[0], hashes[1]);
}

TEST_F(PrepareTest, MissingMasksAndOtherSizesAreNamed) {
  write_pair(dir, "a", 1);
  write_pair(dir, "b", 2, false);
  std::string message;
  EXPECT_EQ(code_of([&] { import_folder(dir / "images", dir / "masks", std::nullopt); }, &message),
            ErrorCode::kCorrupt);
  EXPECT_NE(message.find("b.png"), std::string::npos);
  codec::write_png(dir / "masks" / "b.png", mask(39));
  const auto items = import_folder(dir / "images", dir / "masks", Split::kTrain);
  fs::create_directories(dir / "store");
  EXPECT_EQ(code_of([&] { prepare_store(request_for(items), dir / "store"); }, &message), ErrorCode::kCorrupt);
  EXPECT_NE(message.find("39x39"), std::string::npos);
  EXPECT_NE(message.find("40x40"), std::string::npos);
  EXPECT_FALSE(fs::exists(dir / "store" / "manifest.json"));
  EXPECT_EQ(code_of([&] { import_folder(dir / "none", {}, std::nullopt); }), ErrorCode::kNotFound);
}

TEST_F(PrepareTest, LabelsOneAndTwoHundredFiftyFiveMeanTheSame) {
  codec::write_png(dir / "one.png", mask(40, 1));
  codec::write_png(dir / "full.png", mask(40, 255));
  codec::write_png(dir / "image.png", picture(1));
  Item one, full;
  one.image = full.image = dir / "image.png";
  one.mask = dir / "one.png";
  full.mask = dir / "full.png";
  const preprocess::Options options;
  EXPECT_EQ(prepare_item(one, options).mask, prepare_item(full, options).mask);
  Bytes soft = mask();
  soft.at(10, 3) = 130;
  codec::write_png(dir / "soft.png", soft);
  full.mask = dir / "soft.png";
  EXPECT_EQ(prepare_item(full, options).antialiased_pixels, 1);
}

TEST_F(PrepareTest, NearDuplicatesAcrossSplitsAreRefusedMirroredAndReencodedToo) {
  write_pair(dir / "train", "a", 1);
  write_pair(dir / "test", "b", 2);
  Bytes copy = picture(1);  // mirrored, darker, a little noisy
  Rng rng(5);
  for (int y = 0; y < 40; ++y) {
    for (int x = 0; x < 40; ++x) {
      copy.at(y, x) = static_cast<std::uint8_t>(0.8 * picture(1).at(y, 39 - x) + rng.uniform(0, 6));
    }
  }
  codec::write_png(dir / "test" / "images" / "c.png", copy);
  codec::write_png(dir / "test" / "masks" / "c.png", mask());
  auto items = import_folder(dir / "train" / "images", dir / "train" / "masks", Split::kTrain);
  for (auto& item : import_folder(dir / "test" / "images", dir / "test" / "masks", Split::kTest)) items.push_back(item);
  fs::create_directories(dir / "store");
  std::string message;
  EXPECT_EQ(code_of([&] { prepare_store(request_for(items), dir / "store"); }, &message), ErrorCode::kInvalidArgument);
  EXPECT_NE(message.find("a (train) and c (test)"), std::string::npos) << message;
  auto allowed = request_for(items);
  allowed.allow_duplicates = true;
  EXPECT_EQ(prepare_store(allowed, dir / "store")["leakage"]["clean"], false);
  EXPECT_TRUE(has(examine(dir / "store", 2), "leakage"));
  auto dropping = request_for(items);
  dropping.drop_duplicates = true;
  const Json without = prepare_store(dropping, dir / "store");
  EXPECT_EQ(without["leakage"]["clean"], true);
  ASSERT_EQ(without["leakage"]["dropped"].size(), 1U);
  EXPECT_EQ(without["leakage"]["dropped"][0]["id"], "a");
  EXPECT_EQ(without["leakage"]["dropped"][0]["resembles"], "c");
  const Store kept = Store::open(dir / "store");
  EXPECT_EQ(kept.records().size(), items.size() - 1);
  EXPECT_FALSE(std::ranges::any_of(kept.records(), [](const Record& r) { return r.id == "a"; }));
  EXPECT_FALSE(has(examine(dir / "store", 2), "leakage"));
  auto grouped = request_for(items);
  for (Item& item : grouped.items) item.split.reset();
  grouped.group_duplicates = true;
  grouped.rule = parse_split_rule("train=0.4,test=0.6");
  const Json manifest = prepare_store(grouped, dir / "store");
  EXPECT_EQ(manifest["leakage"]["clean"], true);
}

TEST_F(PrepareTest, AGroupInTwoSplitsIsRefused) {
  write_pair(dir, "pat7_1", 1);
  write_pair(dir, "pat7_2", 2);
  auto items = import_folder(dir / "images", dir / "masks", std::nullopt);
  group_by_regex(items, "(pat[0-9]+)_");
  EXPECT_EQ(items[0].group, "pat7");
  items[0].split = Split::kTrain;
  items[1].split = Split::kTest;
  fs::create_directories(dir / "store");
  EXPECT_EQ(code_of([&] { prepare_store(request_for(items), dir / "store"); }), ErrorCode::kInvalidArgument);
  // Nor by a table, and nothing that is said of duplicates excuses it.
  write_file_atomic(dir / "list.csv", "path,patient,split\nimages/pat7_1.png,p7,train\nimages/pat7_2.png,p7,test\n");
  auto listed = request_for(import_csv(dir / "list.csv"));
  listed.allow_duplicates = true;
  std::string message;
  EXPECT_EQ(code_of([&] { prepare_store(listed, dir / "store"); }, &message), ErrorCode::kInvalidArgument);
  EXPECT_NE(message.find("first 'p7'"), std::string::npos) << message;
  EXPECT_THROW(group_by_regex(items, "patient"), Error);
  EXPECT_THROW(group_by_regex(items, "(x"), Error);
  EXPECT_THROW(group_by_regex(items, "(doctor[0-9]+)"), Error);
}

TEST_F(PrepareTest, CocoPolygonsAreTheUnionOfSegments) {
  codec::write_png(dir / "1.png", picture(1));
  const Json coco = {{"images", {{{"id", 3}, {"file_name", "1.png"}, {"height", 40}, {"width", 40}}}},
                     {"categories", {{{"id", 1}, {"name", "5"}}, {{"id", 2}, {"name", "stenosis"}}}},
                     {"annotations",
                      {{{"image_id", 3}, {"category_id", 1}, {"segmentation", {{2, 3, 12, 3, 12, 8, 2, 8}}}},
                       {{"image_id", 3}, {"category_id", 1}, {"segmentation", {{10, 5, 20, 5, 20, 10, 10, 10}}}},
                       {{"image_id", 3}, {"category_id", 2}, {"segmentation", {{30, 30, 39, 30, 39, 39}}}}}}};
  save_json(dir / "coco.json", coco);
  const auto items = import_coco(dir / "coco.json", dir, "", std::nullopt);
  const image::Mask mask = rasterise(std::get<Polygons>(items.at(0).mask), 40, 40);
  EXPECT_EQ(std::count(mask.begin(), mask.end(), std::uint8_t{1}), 10 * 5 + 10 * 5 - 2 * 3);
  EXPECT_EQ(mask.at(3, 2), 1);
  EXPECT_EQ(mask.at(3, 12), 0);
  EXPECT_EQ(mask.at(35, 38), 0);  // stenosis boxes are no vessels
  const auto broken = [&](const char* pointer, const Json& value) {
    Json changed = coco;
    changed[Json::json_pointer(pointer)] = value;
    save_json(dir / "broken.json", changed);
    return code_of([&] { import_coco(dir / "broken.json", dir, "", std::nullopt); });
  };
  EXPECT_EQ(broken("/annotations/0/segmentation/0", Json::array({1, 2})), ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/images/0/file_name", "../1.png"), ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/images/0/file_name", "2.png"), ErrorCode::kNotFound);
  EXPECT_EQ(broken("/categories", 5), ErrorCode::kCorrupt);
}

TEST_F(PrepareTest, WarnsOfASourceWithoutAnyVessel) {
  std::vector<std::string> warnings;
  set_log_sink([&](LogLevel, std::string_view text) { warnings.emplace_back(text); });
  write_pair(dir / "good", "a", 1);
  write_pair(dir / "empty", "b", 2);
  codec::write_png(dir / "empty/masks/b.png", Bytes(40, 40));
  auto items = import_folder(dir / "good/images", dir / "good/masks", Split::kTrain);
  for (Item& item : import_folder(dir / "empty/images", dir / "empty/masks", Split::kTrain)) items.push_back(item);
  for (Item& item : import_folder(dir / "good/images", "", Split::kTrain)) items.push_back(item);  // no masks at all
  make_ids_unique(items);
  fs::create_directories(dir / "store");
  prepare_store(request_for(items), dir / "store");
  set_log_sink({});
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("none of the 1 masks for"), std::string::npos) << warnings[0];
  EXPECT_NE(warnings[0].find("empty/images"), std::string::npos) << warnings[0];
}

TEST_F(PrepareTest, CsvManifest) {
  write_pair(dir, "a,b", 1);
  write_pair(dir, "c", 2);
  write_file_atomic(dir / "list.csv",
                    "path,mask,patient,split,spacing\r\n\"images/a,b.png\",\"masks/a,b.png\",\"Do\"\"e\",train,0.2\r\n"
                    "images/c.png,,p2,test,0.2 0.3\r\n");
  const auto items = import_csv(dir / "list.csv");
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[0].group, "Do\"e");
  EXPECT_EQ(items[0].spacing_mm, (image::Spacing{0.2, 0.2}));
  EXPECT_EQ(items[1].spacing_mm, (image::Spacing{0.2, 0.3}));
  for (const char* spacing : {"0.3;0.2", "\"0.3,0.2\"", "\"0.3, 0.2\"", "0.3x0.2", "0.3 x 0.2", "0.3\\0.2"}) {
    write_file_atomic(dir / "pair.csv", concat("path,spacing\nimages/c.png,", spacing, "\n"));
    EXPECT_EQ(import_csv(dir / "pair.csv").at(0).spacing_mm, (image::Spacing{0.3, 0.2})) << spacing;
  }
  EXPECT_EQ(items[1].split, Split::kTest);
  EXPECT_FALSE(items[1].has_mask());
  const auto refused = [&](const std::string& text) {
    write_file_atomic(dir / "bad.csv", text);
    return code_of([&] { import_csv(dir / "bad.csv"); });
  };
  EXPECT_EQ(refused("path,colour\nimages/c.png,red\n"), ErrorCode::kCorrupt);
  EXPECT_EQ(refused("path,mask\nimages/c.png\n"), ErrorCode::kCorrupt);
  EXPECT_EQ(refused("path\n\"images/c.png\n"), ErrorCode::kCorrupt);
  EXPECT_EQ(refused("path\nimages/none.png\n"), ErrorCode::kNotFound);
  for (const char* spacing : {"-1", "0.3mm", "0.3/0.2", "0.3 0.2 0.1", "\"0,3\"", "x", "nan"}) {
    EXPECT_EQ(refused(concat("path,spacing\nimages/c.png,", spacing, "\n")), ErrorCode::kCorrupt) << spacing;
  }
  EXPECT_EQ(refused("path\n"), ErrorCode::kCorrupt);
}

TEST_F(PrepareTest, NnunetLayout) {
  for (const char* folder : {"imagesTr", "labelsTr", "imagesTs"}) fs::create_directories(dir / folder);
  codec::write_png(dir / "imagesTr" / "x_0000.png", picture(1));
  codec::write_png(dir / "labelsTr" / "x.png", mask(40, 1));
  codec::write_png(dir / "imagesTs" / "y_0000.png", picture(2));
  save_json(dir / "dataset.json", {{"labels", {{"background", 0}, {"vessel", 1}}}, {"file_ending", ".png"}});
  const auto items = import_nnunet(dir);
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[0].id, "x");
  EXPECT_TRUE(items[0].has_mask());
  EXPECT_EQ(items[1].split, Split::kTest);
  EXPECT_FALSE(items[1].has_mask());
}

TEST_F(PrepareTest, DatasetNormalisationUsesOneMeanAndSpread) {
  for (int i = 0; i < 4; ++i) write_pair(dir, "p" + std::to_string(i), static_cast<std::uint64_t>(i));
  auto request = request_for(import_folder(dir / "images", dir / "masks", Split::kTrain));
  request.preprocessing.normalise = preprocess::Normalise::kDataset;
  fs::create_directories(dir / "store");
  const Json manifest = prepare_store(request, dir / "store");
  EXPECT_NEAR(manifest["statistics"]["mean"].get<double>(), 0, 1e-3);
  EXPECT_NEAR(manifest["statistics"]["sd"].get<double>(), 1, 1e-3);
  EXPECT_GT(manifest["preprocessing"]["dataset_mean"].get<double>(), 40);
}

TEST_F(PrepareTest, DatasetNormalisationLearnsNothingFromTest) {
  for (int i = 0; i < 6; ++i) write_pair(dir, "p" + std::to_string(i), static_cast<std::uint64_t>(i));
  auto items = import_folder(dir / "images", dir / "masks", Split::kTrain);
  const auto mean_of = [&](const std::vector<Item>& some, const char* name) {
    auto request = request_for(some);
    request.preprocessing.normalise = preprocess::Normalise::kDataset;
    fs::create_directories(dir / name);
    return prepare_store(request, dir / name)["preprocessing"]["dataset_mean"].get<double>();
  };
  const double of_four = mean_of({items.begin(), items.begin() + 4}, "four");
  items[4].split = Split::kVal;
  items[5].split = Split::kTest;
  EXPECT_DOUBLE_EQ(mean_of(items, "six"), of_four);
  for (Item& item : items) item.split = Split::kTest;
  EXPECT_EQ(code_of([&] { mean_of(items, "test"); }), ErrorCode::kInvalidArgument);
}

TEST_F(PrepareTest, DatasetNormalisationTakesTheConstantsThatAreGiven) {
  for (int i = 0; i < 3; ++i) write_pair(dir, "p" + std::to_string(i), static_cast<std::uint64_t>(i));
  auto request = request_for(import_folder(dir / "images", dir / "masks", Split::kTest));
  request.preprocessing.normalise = preprocess::Normalise::kNone;
  fs::create_directories(dir / "grey");
  prepare_store(request, dir / "grey");
  request.preprocessing.normalise = preprocess::Normalise::kDataset;
  request.preprocessing.dataset_mean = 100;
  request.preprocessing.dataset_sd = 20;
  fs::create_directories(dir / "store");
  const Json manifest = prepare_store(request, dir / "store");
  EXPECT_EQ(manifest["preprocessing"]["dataset_mean"], 100.0);
  EXPECT_EQ(manifest["preprocessing"]["dataset_sd"], 20.0);
  const Store store = Store::open(dir / "store"), grey = Store::open(dir / "grey");
  EXPECT_NEAR(store.image(1)[7], (grey.image(1)[7] - 100) / 20, 1e-5);
}

TEST_F(PrepareTest, DoctorFindsWhatWasPlanted) {
  write_pair(dir, "good", 1);
  write_pair(dir, "lonely", 2, false);
  codec::write_png(dir / "masks" / "orphan.png", mask());
  write_pair(dir, "copy", 1);
  codec::write_png(dir / "images" / "flat.png", Bytes(40, 40, 7));
  codec::write_png(dir / "masks" / "flat.png", Bytes(40, 40));
  write_pair(dir, "wrong", 3);
  codec::write_png(dir / "masks" / "wrong.png", mask(38));
  write_file_atomic(dir / "images" / "broken.png", "\x89PNG\r\n\x1a\nxx");
  write_file_atomic(dir / "images" / "notes.txt", "hello");
  const auto findings = examine(dir, 2);
  for (const char* what : {"missing_mask", "missing_image", "near_duplicate", "constant_image", "empty_mask",
                           "mask_size", "unreadable", "other_file"}) {
    EXPECT_TRUE(has(findings, what)) << what;
  }
  EXPECT_FALSE(has(findings, "mixed_sizes"));
  const Json json = to_json(findings);
  EXPECT_EQ(json["errors"].get<std::size_t>() + json["warnings"].get<std::size_t>(), findings.size());
  EXPECT_THROW(examine(dir / "none", 1), Error);
}

TEST_F(PrepareTest, DoctorKnowsOtherLayouts) {
  // ARCADE's: polygons are no masks that are missing.
  fs::create_directories(dir / "arcade/images");
  fs::create_directories(dir / "arcade/annotations");
  codec::write_png(dir / "arcade/images/1.png", picture(1));
  save_json(dir / "arcade/annotations/train.json", Json::object());
  EXPECT_EQ(examine(dir / "arcade", 1).size(), 0U);
  codec::write_png(dir / "arcade/annotations/1.png", mask(38));
  EXPECT_TRUE(has(examine(dir / "arcade", 1), "mask_size"));
  // nnU-Net's: labels lack the channel's number.
  for (const char* folder : {"imagesTr", "labelsTr", "imagesTs"}) fs::create_directories(dir / "nnunet" / folder);
  codec::write_png(dir / "nnunet/imagesTr/a_0000.png", picture(1));
  codec::write_png(dir / "nnunet/labelsTr/a.png", mask());
  codec::write_png(dir / "nnunet/imagesTs/b_0000.png", picture(2));
  EXPECT_EQ(examine(dir / "nnunet", 1).size(), 0U);
  codec::write_png(dir / "nnunet/imagesTr/c_0000.png", picture(3));
  codec::write_png(dir / "nnunet/imagesTs/flat_0000.png", Bytes(40, 40, 7));
  const auto findings = examine(dir / "nnunet", 1);
  EXPECT_EQ(findings.size(), 2U);
  for (const char* what : {"missing_mask", "constant_image"}) EXPECT_TRUE(has(findings, what)) << what;
}

TEST(MakeIdsUnique, PrefixesOnlyWhatCollides) {
  std::vector<Item> items(3);
  items[0].id = items[0].group = items[1].id = items[1].group = "1";
  items[2].id = items[2].group = "2";
  items[0].split = Split::kTrain;
  items[1].split = Split::kVal;
  make_ids_unique(items);
  EXPECT_EQ(items[0].id, "train/1");
  EXPECT_EQ(items[1].group, "val/1");
  EXPECT_EQ(items[2].id, "2");
}

TEST(Similarity, IsOneForAMirrorImageAndSmallForAnother) {
  Rng rng(1);
  image::ImageF a(64, 64), b(64, 64);
  for (float& v : a) v = static_cast<float>(rng.normal());
  for (float& v : b) v = static_cast<float>(rng.normal());
  image::ImageF flipped(64, 64);
  for (int y = 0; y < 64; ++y) {
    for (int x = 0; x < 64; ++x) flipped.at(y, x) = 3 * a.at(63 - y, x) + 5;
  }
  EXPECT_NEAR(similarity(thumbnail_of(a), thumbnail_of(flipped)), 1, 1e-5);
  EXPECT_LT(similarity(thumbnail_of(a), thumbnail_of(b)), 0.3);
  EXPECT_DOUBLE_EQ(similarity(thumbnail_of(image::ImageF(64, 64, 2.0F)), thumbnail_of(a)), 0);
}

}  // namespace
}  // namespace cmunet::dataset
