// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dataset/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "cmunet/base/error.h"

namespace cmunet::dataset {
namespace {

std::vector<std::string> own_groups(int n) {
  std::vector<std::string> groups;
  for (int i = 0; i < n; ++i) groups.push_back("image" + std::to_string(i));
  return groups;
}

std::int64_t count_of(const std::vector<Split>& splits, Split split) {
  return std::count(splits.begin(), splits.end(), split);
}

TEST(RatioSizes, AreThePapers) {
  const std::vector<std::array<double, 4>> rows{
      {50, 30, 522, 868}, {60, 20, 348, 1042}, {70, 10, 174, 1216}, {75, 5, 87, 1303}, {79, 1, 18, 1372}};
  for (const auto& [pretrain, train, train_count, pretrain_count] : rows) {
    const RatioSizes sizes = ratio_sizes(1738, pretrain, train);
    EXPECT_EQ(sizes.test, 348);
    EXPECT_EQ(static_cast<double>(sizes.train), train_count) << pretrain;
    EXPECT_EQ(static_cast<double>(sizes.pretrain), pretrain_count) << pretrain;
  }
}

TEST(SklearnSplit, GivesThePublishedIndices) {
  const auto splits = assign_splits(own_groups(1738), parse_split_rule("sklearn:79:1"), 7);
  for (const std::size_t test : {482U, 1506U, 950U, 1005U, 705U, 275U, 438U, 1312U})
    EXPECT_EQ(splits[test], Split::kTest);
  // The first images of the remaining order, and which of its positions are fine-tuned on.
  const std::vector<std::size_t> head{561, 43, 100, 274, 1265, 101, 745, 107};
  for (const std::size_t i : head) EXPECT_NE(splits[i], Split::kTest);
  EXPECT_EQ(count_of(splits, Split::kTest), 348);
  EXPECT_EQ(count_of(splits, Split::kTrain), 18);
  EXPECT_EQ(count_of(splits, Split::kPretrain), 1372);
}

TEST(AssignSplits, SharesAndCounts) {
  const auto shares = assign_splits(own_groups(100), parse_split_rule("train=0.7,val=0.1,test=0.2"), 1);
  EXPECT_EQ(count_of(shares, Split::kTrain), 70);
  EXPECT_EQ(count_of(shares, Split::kVal), 10);
  EXPECT_EQ(count_of(shares, Split::kTest), 20);
  const auto counts = assign_splits(own_groups(100), parse_split_rule("train=18,test=50"), 1);
  EXPECT_EQ(count_of(counts, Split::kTrain), 18);
  EXPECT_EQ(count_of(counts, Split::kTest), 50);
  EXPECT_EQ(count_of(counts, Split::kPretrain), 32);
  EXPECT_EQ(count_of(assign_splits(own_groups(5), parse_split_rule("val"), 1), Split::kVal), 5);
}

TEST(AssignSplits, KeepsGroupsTogetherAndFollowsTheSeed) {
  std::vector<std::string> groups;
  for (int i = 0; i < 300; ++i) groups.push_back("patient" + std::to_string(i % 37));
  const SplitRule rule = parse_split_rule("79:1");
  const auto splits = assign_splits(groups, rule, 3);
  std::map<std::string, std::set<Split>> where;
  for (std::size_t i = 0; i < groups.size(); ++i) where[groups[i]].insert(splits[i]);
  for (const auto& [group, in] : where) EXPECT_EQ(in.size(), 1U) << group;
  EXPECT_NEAR(static_cast<double>(count_of(splits, Split::kTest)), 60, 9);
  EXPECT_EQ(splits, assign_splits(groups, rule, 3));
  EXPECT_NE(splits, assign_splits(groups, rule, 4));
}

TEST(AssignFolds, AreEvenAndKeepGroups) {
  std::vector<std::string> groups;
  for (int i = 0; i < 60; ++i) groups.push_back("patient" + std::to_string(i / 3));
  const auto folds = assign_folds(groups, 3, 1);
  for (int fold = 0; fold < 3; ++fold) EXPECT_NEAR(static_cast<double>(std::ranges::count(folds, fold)), 20, 3);
  for (std::size_t i = 0; i < 60; i += 3) EXPECT_TRUE(folds[i] == folds[i + 1] && folds[i] == folds[i + 2]);
  EXPECT_THROW(assign_folds(groups, 21, 1), Error);
}

TEST(ParseSplitRule, RefusesNonsense) {
  for (const char* text : {"", "training", "train=", "train=x", "train=0.7,test=0.7", "79:", "a:b", "79:30", "79:0",
                           "7:1", "train=0.5,train=0.2", "train=-1"}) {
    EXPECT_THROW(parse_split_rule(text), Error) << text;
  }
  EXPECT_THROW(assign_splits(own_groups(10), parse_split_rule("train=18"), 1), Error);
}

}  // namespace
}  // namespace cmunet::dataset
