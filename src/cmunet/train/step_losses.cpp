// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/step_losses.h"

#include <torch/torch.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "cmunet/ssl/spread.h"

namespace cmunet::train {

void StepLosses::add(const std::string& name, const at::Tensor& value, double factor) {
  terms_.push_back({name, factor});
  numbers_.push_back(value.detach().to(at::kDouble));
}

void StepLosses::add_embeddings(const std::string& who, const at::Tensor& embeddings, double factor) {
  if (std::exchange(embeddings_are_old_, false)) embeddings_.clear();
  embeddings_.push_back({who, embeddings, factor});
}

void StepLosses::end_step(const Position& position, double lr, std::vector<std::string> ids, Means& means) {
  waiting_.push_back({position, lr, std::move(ids), std::exchange(terms_, {})});
  embeddings_are_old_ = true;
  if (std::ssize(waiting_) >= steps_per_reading_) read(means);
}

void StepLosses::read(Means& means) {
  if (waiting_.empty()) return;
  for (const Embeddings& of : std::exchange(embeddings_, {})) {
    for (const auto& [name, value] : ssl::named_spread(of.who, of.values)) add(name, value, of.factor);
  }
  std::ranges::move(std::exchange(terms_, {}), std::back_inserter(waiting_.back().terms));
  const at::Tensor numbers = torch::stack(std::exchange(numbers_, {})).to(at::kCPU);
  const double* next = numbers.data_ptr<double>();
  for (const Step& step : std::exchange(waiting_, {})) {
    std::map<std::string, double> sums;
    for (const Term& term : step.terms) sums[term.name] += term.factor * *next++;
    last_ = sums.at("loss");
    check_finite(last_, step.position, step.lr, step.ids);
    for (const auto& [name, sum] : sums) means.add(name, sum);
  }
}

}  // namespace cmunet::train
