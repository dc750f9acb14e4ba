// SPDX-License-Identifier: Apache-2.0
// What pre-training and fine-tuning share: data from stores, position in time, saving, resuming, stopping.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cmunet/augment/batch.h"
#include "cmunet/base/random.h"
#include "cmunet/dataset/store.h"
#include "cmunet/train/checkpoint.h"
#include "cmunet/train/control.h"
#include "cmunet/train/optimizer.h"
#include "cmunet/train/run_folder.h"

namespace cmunet::train {

/// Images of some splits of one or more stores, on the training device.
struct TrainingData {
  augment::DeviceStore data;
  Json preprocessing;  ///< of the first store
  int height = 0, width = 0;
  std::vector<std::string> content_hashes;  ///< of the stores, for the record
};

/// The indices of a store's records in the given splits ("pretrain,train"). @throws Error kInvalidArgument.
std::vector<std::size_t> indices_of(const dataset::Store& store, const std::string& splits);

/// Loads the given splits of all stores, images as float or half.
/// @throws Error kInvalidArgument when the stores differ in size or preprocessing, or nothing is left.
TrainingData load_training_data(const std::vector<std::filesystem::path>& stores, const std::string& splits,
                                at::Device device, at::ScalarType image_type = at::kFloat);

/// Where a run stands. `epoch` counts from 0 while running.
struct Position {
  std::int64_t epoch = 0;
  std::int64_t step_in_epoch = 0;
  std::int64_t step = 0;
};

/// Running means of a step's numbers over an epoch; saved with the state, so a resumed epoch reports the same.
class Means {
 public:
  void add(const std::string& name, double value);
  /// {name: mean}; empty when nothing was added.
  Json to_json() const;
  void clear() { sums_.clear(); }
  Json state() const;
  void set_state(const Json& state);

 private:
  std::map<std::string, std::pair<double, std::int64_t>> sums_;
};

/// Everything of a state file that is no tensor. Random numbers follow from seed and position.
Json state_json(const Position& position, const Means& means, std::int64_t optimizer_steps);

/// Every tensor of a state file: the module's and the optimiser's.
NamedTensors state_of(const torch::nn::Module& module, const Optimizer& optimizer);

/// Reads it back. @throws Error kCorrupt.
void restore(const TrainingState& saved, Position& position, Means& means);

/// Of the ids, in their order.
std::string hash_of_ids(const std::vector<std::string>& ids);

/// Compares the state's "data" with that of the run which goes on from it; what an older state lacks is not compared.
/// @throws Error kInvalidArgument naming what differs.
void check_same_data(const TrainingState& saved, const Json& now);

/// Random numbers of a step, whatever process or part of the batch they are for: `augment::image_rngs` of it.
Rng rng_of_step(std::uint64_t seed, std::int64_t step);

/// The order of an epoch's images, which depends on the seed and the epoch alone.
std::vector<std::int64_t> order_of_epoch(std::uint64_t seed, std::int64_t epoch, std::int64_t images);

/// @throws Error kInvalidArgument when a forward pass of an epoch would have fewer images than there are processes:
/// of a full step, of its last pass, or of the smaller step at the end.
/// @param fewest  passes of fewer images are left out
void check_shares(std::int64_t images, std::int64_t images_per_step, std::int64_t images_per_pass, std::int64_t fewest);

/// Makes the weights and buffers of all processes those of the leading one.
void share_weights(const torch::nn::Module& module);

/// Lays the filters of every 2-D convolution out channels last. cuDNN then computes so, which tensor cores want, and
/// feature maps come out so; names, shapes and what is saved do not change.
void use_channels_last(torch::nn::Module& module);

/// @throws Error kInvalidArgument unless `text` (options, hashes of data) is the same in all processes.
void check_agreement(const std::string& what, const std::string& text);

/// Optimiser steps per epoch; the last, smaller batch counts, unless it would hold less than `fewest` images.
std::int64_t steps_per_epoch(std::int64_t images, std::int64_t images_per_step, std::int64_t fewest);

/// One progress event.
StepEvent make_event(const Position& position, std::int64_t epochs, std::int64_t steps, double loss, double lr,
                     const Throughput& throughput);

/// Appends to a line of metrics.jsonl the learning rate, images per second, the data's share of the time and the time.
void add_pace(Json& row, double lr, const Throughput& throughput);

/// Several [n, 1, H, W] tensors as one picture: a row per tensor, images side by side.
image::ImageF picture_strip(const std::vector<at::Tensor>& rows);

/// @throws Error kNumeric unless `loss` is finite; the message names epoch, step, learning rate and image ids.
void check_finite(double loss, const Position& position, double lr, const std::vector<std::string>& ids);

}  // namespace cmunet::train
