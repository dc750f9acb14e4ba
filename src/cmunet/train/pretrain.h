// SPDX-License-Identifier: Apache-2.0
// The pre-training loop: one method, one or more stores, one run folder.
#pragma once

#include <c10/core/ScalarType.h>

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cmunet/base/config.h"
#include "cmunet/ssl/method.h"
#include "cmunet/train/control.h"
#include "cmunet/train/optimizer.h"

namespace cmunet::train {

/// Arithmetic of the forward pass. The weights and the optimiser stay in 32 bits, but for kFp64: everything in 64,
/// slow, to tell rounding from errors.
enum class Precision { kFp32, kBf16, kFp16, kFp64 };

/// Names of the precisions, for config files.
std::span<const std::pair<std::string_view, Precision>> precision_names();
/// "fp32", …
std::string_view name_of(Precision precision);

struct PretrainOptions {
  ssl::MethodOptions method;
  int epochs = 300;         ///< passes over the images
  std::int64_t steps = 0;   ///< optimiser steps; when positive it replaces `epochs`
  int batch_size = 256;     ///< images per forward pass; also the number of InfoNCE keys
  int accumulate = 1;       ///< forward passes per optimiser step; does not add negatives to InfoNCE
  double base_lr = 1.5e-4;  ///< per 256 images: lr = base_lr · batch_size · accumulate / 256
  double lr = 0;            ///< when positive, the peak learning rate itself (2.4e-3 is the published setting)
  Schedule schedule = Schedule::kCosine;
  int halve_every_epochs = 40;        ///< with Schedule::kHalve
  double warmup_epochs = 40;          ///< linear warm-up, counted in steps
  double warmup_start_factor = 1e-4;  ///< share of the peak at which the warm-up starts
  double end_factor = 0;              ///< share of the peak at which the cosine ends
  OptimizerKind optimizer = OptimizerKind::kAdamW;
  double weight_decay = 0.05;
  double weight_decay_end = -1;  ///< when not negative, half a cosine leads from weight_decay to here (SparK)
  double beta1 = 0.9;            ///< of AdamW and LAMB
  double beta2 = 0.95;
  double sgd_momentum = 0.9;
  double max_gradient_norm = 0;  ///< longer gradients are shortened to this; 0: never
  bool decay_norms = false;      ///< decay batch-norm weights as the reference code does
  Precision precision = Precision::kFp32;
  at::ScalarType image_type = at::kFloat;  ///< of the images in memory: float, or half
  /// With several processes: batch norms take the whole batch's statistics everywhere, so that the number of processes
  /// does not change the result; off, in the heads alone, as the reference code does.
  bool synchronised_norms = true;
  std::string splits = "pretrain,train";  ///< which splits of the stores are learnt from; never val or test
  std::uint64_t seed = 42;
  double max_minutes = 0;  ///< save and stop after this long; 0 for no limit
  int save_every_epochs = 1;
  int picture_every_epochs = 10;

  /// @throws Error kInvalidArgument naming the key.
  void check() const;
};
/// Keys "pretrain.*" and "model.*".
void describe(PretrainOptions& options, Fields& fields);

struct PretrainRequest {
  std::vector<std::filesystem::path> stores;
  std::filesystem::path out;
  bool resume = false;
  bool force = false;
  std::string device = "cpu";
  const std::atomic<bool>* stop_flag = nullptr;
};

/// What a run would do, for --dry-run: images, steps, parameters, memory, with the time of one measured step.
Json plan_pretrain(const PretrainOptions& options, const PretrainRequest& request);

/// Runs to the end and returns the content of run.json.
/// Leaves checkpoints/last.safetensors (the UNet, for fine-tuning) and last.state.safetensors (to resume).
/// @throws Error kCancelled after saving when asked to stop; kNumeric on a non-finite loss, naming epoch, step,
/// learning rate and image ids; kInvalidArgument, kNotFound, kCorrupt for its inputs.
Json pretrain(const PretrainOptions& options, const PretrainRequest& request, const Observer& observer);

}  // namespace cmunet::train
