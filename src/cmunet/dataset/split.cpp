// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dataset/split.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <sstream>

#include "cmunet/base/error.h"
#include "cmunet/base/number.h"
#include "cmunet/base/random.h"

namespace cmunet::dataset {
namespace {

[[noreturn]] void bad_rule(const std::string& text) {
  throw Error(ErrorCode::kInvalidArgument, concat("[split] '", text, "' is no rule"),
              "write a split's name, train=0.7,val=0.1,test=0.2, train=18,test=50, 79:1 or sklearn:79:1");
}

double number_in(const std::string& word, const std::string& text) {
  const std::optional<double> value = parse_number<double>(word);
  if (!value || !(*value >= 0) || *value > 1e9) bad_rule(text);
  return *value;
}

void parse_ratio(const std::string& ratio, const std::string& text, SplitRule& rule) {
  const std::size_t colon = ratio.find(':');
  if (colon == std::string::npos) bad_rule(text);
  rule.pretrain_part = number_in(ratio.substr(0, colon), text);
  rule.train_part = number_in(ratio.substr(colon + 1), text);
  const double sum = rule.pretrain_part + rule.train_part;
  CMUNET_CHECK(rule.train_part > 0 && sum >= 50 && sum <= 100, ErrorCode::kInvalidArgument, "[split] '", text,
               "': the parts are percent of all images, 50 to 100 together, and the rest is test; seen ", sum);
}

void parse_sizes(const std::string& text, SplitRule& rule) {
  std::istringstream words(text);
  double sum = 0;
  bool all_shares = true;
  for (std::string word; std::getline(words, word, ',');) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) bad_rule(text);
    auto& size = rule.sizes[static_cast<std::size_t>(parse_split(word.substr(0, equals)))];
    CMUNET_CHECK(!size.has_value(), ErrorCode::kInvalidArgument, "[split] '", text, "' names a split twice");
    size = number_in(word.substr(equals + 1), text);
    sum += *size;
    all_shares = all_shares && *size <= 1;
  }
  CMUNET_CHECK(!all_shares || sum <= 1 + 1e-9, ErrorCode::kInvalidArgument, "[split] '", text, "': shares add up to ",
               sum, "; at most 1 is possible");
}

// Wanted number of images per split; the remainder has no entry and goes where `rest` says.
struct Targets {
  std::vector<std::pair<Split, std::int64_t>> sizes;
  Split rest = Split::kPretrain;
};

Targets targets_of(const SplitRule& rule, std::int64_t n) {
  Targets targets;
  if (rule.kind == SplitRule::Kind::kRatio) {
    const RatioSizes sizes = ratio_sizes(n, rule.pretrain_part, rule.train_part);
    targets.sizes = {{Split::kTest, sizes.test}, {Split::kTrain, sizes.train}};
    return targets;
  }
  double largest = 0, sum = 0;
  for (const auto& size : rule.sizes) {
    largest = std::max(largest, size.value_or(0));
    sum += size.value_or(0);
  }
  const bool shares = largest <= 1;
  if (!shares) {
    CMUNET_CHECK(sum <= static_cast<double>(n), ErrorCode::kInvalidArgument, "[split] ", sum,
                 " images were asked for; there are ", n);
  }
  // Held-out sets first, so that rounding never takes from them.
  for (const Split split : {Split::kTest, Split::kVal, Split::kTrain, Split::kPretrain}) {
    const auto& size = rule.sizes[static_cast<std::size_t>(split)];
    if (!size) continue;
    targets.sizes.emplace_back(split, std::llround(shares ? *size * static_cast<double>(n) : *size));
  }
  if (shares && sum > 1 - 1e-9) {  // all is given away: what rounding leaves goes to the last
    targets.rest = targets.sizes.back().first;
  }
  return targets;
}

// The images of each group, in a seeded order of groups.
std::vector<std::vector<std::size_t>> shuffled_groups(const std::vector<std::string>& groups, std::uint64_t seed) {
  std::map<std::string, std::vector<std::size_t>> members;
  for (std::size_t i = 0; i < groups.size(); ++i) members[groups[i]].push_back(i);
  std::vector<std::vector<std::size_t>> in_order;
  for (auto& [name, images] : members) in_order.push_back(std::move(images));
  std::vector<std::vector<std::size_t>> shuffled;
  for (const std::int64_t i : Rng(seed).permutation(static_cast<std::int64_t>(in_order.size()))) {
    shuffled.push_back(std::move(in_order[static_cast<std::size_t>(i)]));
  }
  return shuffled;
}

std::vector<Split> assign_sklearn(std::size_t count, const SplitRule& rule) {
  const auto n = static_cast<std::int64_t>(count);
  const RatioSizes sizes = ratio_sizes(n, rule.pretrain_part, rule.train_part);
  std::vector<Split> splits(count, Split::kTest);
  const std::vector<std::int64_t> first = numpy_permutation(42, n);
  const std::vector<std::int64_t> rest(first.begin() + sizes.test, first.end());
  const std::vector<std::int64_t> second = numpy_permutation(42, static_cast<std::int64_t>(rest.size()));
  for (std::size_t i = 0; i < second.size(); ++i) {
    const auto image = static_cast<std::size_t>(rest[static_cast<std::size_t>(second[i])]);
    splits[image] = i < static_cast<std::size_t>(sizes.train) ? Split::kTrain : Split::kPretrain;
  }
  return splits;
}

}  // namespace

SplitRule parse_split_rule(const std::string& text) {
  SplitRule rule;
  if (text.starts_with("sklearn:")) {
    rule.kind = SplitRule::Kind::kSklearn;
    parse_ratio(text.substr(8), text, rule);
  } else if (text.find('=') != std::string::npos) {
    rule.kind = SplitRule::Kind::kSizes;
    parse_sizes(text, rule);
  } else if (text.find(':') != std::string::npos) {
    rule.kind = SplitRule::Kind::kRatio;
    parse_ratio(text, text, rule);
  } else {
    rule.one = parse_split(text);
  }
  return rule;
}

RatioSizes ratio_sizes(std::int64_t n, double pretrain_part, double train_part) {
  // As scikit-learn rounds: the "test" part of each of the two divisions is rounded up. The epsilon keeps products such
  // as 1390 · 0.0125 from being pushed over a whole number by their last bit.
  const auto ceiling = [](double v) { return static_cast<std::int64_t>(std::ceil(v - 1e-9)); };
  RatioSizes sizes;
  sizes.test = ceiling((100 - pretrain_part - train_part) / 100 * static_cast<double>(n));
  const std::int64_t rest = n - sizes.test;
  sizes.train = ceiling(static_cast<double>(rest) * train_part / (pretrain_part + train_part));
  sizes.pretrain = rest - sizes.train;
  return sizes;
}

std::vector<Split> assign_splits(const std::vector<std::string>& groups, const SplitRule& rule, std::uint64_t seed) {
  if (rule.kind == SplitRule::Kind::kOne) return std::vector<Split>(groups.size(), rule.one);
  if (rule.kind == SplitRule::Kind::kSklearn) return assign_sklearn(groups.size(), rule);
  const Targets targets = targets_of(rule, static_cast<std::int64_t>(groups.size()));
  std::vector<Split> splits(groups.size(), targets.rest);
  std::size_t next = 0;
  std::int64_t filled = 0;
  for (const auto& members : shuffled_groups(groups, seed)) {
    while (next < targets.sizes.size() && filled >= targets.sizes[next].second) {
      ++next;
      filled = 0;
    }
    if (next == targets.sizes.size()) break;
    for (const std::size_t image : members) splits[image] = targets.sizes[next].first;
    filled += static_cast<std::int64_t>(members.size());
  }
  return splits;
}

std::vector<int> assign_folds(const std::vector<std::string>& groups, int folds, std::uint64_t seed) {
  const auto shuffled = shuffled_groups(groups, seed);
  if (folds < 2 || static_cast<std::size_t>(folds) > shuffled.size()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        concat("[folds] ", folds, " folds of a train split of ", shuffled.size(), " groups; expected 2 to that many"),
        "a group is a patient where --group-regex or a CSV names one, otherwise an image");
  }
  std::vector<std::size_t> sizes(static_cast<std::size_t>(folds));
  std::vector<int> result(groups.size());
  for (const auto& members : shuffled) {
    const auto smallest = std::min_element(sizes.begin(), sizes.end());
    for (const std::size_t image : members) result[image] = static_cast<int>(smallest - sizes.begin());
    *smallest += members.size();
  }
  return result;
}

}  // namespace cmunet::dataset
