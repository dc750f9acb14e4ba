// SPDX-License-Identifier: Apache-2.0
// A step's losses on their way from the device.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "cmunet/train/session.h"

namespace cmunet::train {

/// For a loop on `device`: a CPU has computed what it is asked for, so there nothing is gained by waiting.
inline std::int64_t steps_per_reading(at::Device device) { return device.is_cpu() ? 1 : 16; }

/// Reads losses from the device, several steps' at a time: on a GPU each reading waits for everything that is queued
/// there, and until then the next step cannot be prepared.
class StepLosses {
 public:
  /// @param steps_per_reading  1 reads at the end of every step
  explicit StepLosses(std::int64_t steps_per_reading) : steps_per_reading_(steps_per_reading) {}

  /// Adds `factor` × `value` (one number, on any device) to the step's number `name`. "loss" is what the step
  /// minimises.
  void add(const std::string& name, const at::Tensor& value, double factor = 1);
  /// Embeddings of the step (see ssl::Loss). How they lie is added for the last step of each reading: it takes about as
  /// long as a layer, and the device waits for it.
  void add_embeddings(const std::string& who, const at::Tensor& embeddings, double factor = 1);
  /// Ends the step, and reads when it is time. @throws Error kNumeric as `read` does.
  void end_step(const Position& position, double lr, std::vector<std::string> ids, Means& means);
  /// Adds what waits to `means`. @throws Error kNumeric for the first step whose loss is not finite (see check_finite).
  void read(Means& means);
  /// Of the last step that was read; NaN before.
  double last() const { return last_; }

 private:
  struct Term {
    std::string name;
    double factor = 1;
  };
  struct Embeddings {
    std::string who;
    at::Tensor values;
    double factor = 1;
  };
  struct Step {
    Position position;
    double lr = 0;
    std::vector<std::string> ids;
    std::vector<Term> terms;
  };

  std::int64_t steps_per_reading_;
  std::vector<Step> waiting_;
  std::vector<Term> terms_;             // of the step under way
  std::vector<at::Tensor> numbers_;     // of all waiting steps, in the order of their terms
  std::vector<Embeddings> embeddings_;  // of the last step that waits, or of the one under way
  bool embeddings_are_old_ = false;     // the former
  double last_ = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace cmunet::train
