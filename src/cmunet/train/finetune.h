// SPDX-License-Identifier: Apache-2.0
// The fine-tuning loop: a UNet learns to segment from labelled images, from scratch or from a pre-trained run.
#pragma once

#include <c10/core/ScalarType.h>

#include <filesystem>
#include <string>

#include "cmunet/augment/finetune_augment.h"
#include "cmunet/base/config.h"
#include "cmunet/nn/unet.h"
#include "cmunet/train/control.h"
#include "cmunet/train/labelled_data.h"
#include "cmunet/train/optimizer.h"
#include "cmunet/train/pretrain.h"

namespace cmunet::train {

struct FinetuneOptions {
  nn::UNetOptions unet;
  augment::AugmentOptions augment;
  int epochs = 256;        ///< passes over the labelled images (the paper's; its logs show 128)
  std::int64_t steps = 0;  ///< optimiser steps; when positive it replaces `epochs`: equal budgets for comparisons
  int batch_size = 32;
  double lr = 1e-3;                         ///< of Adam
  Schedule schedule = Schedule::kConstant;  ///< constant in the paper
  std::int64_t warmup_steps = 0;
  double weight_decay = 0;
  std::int64_t schedule_steps = 0;    ///< steps that the cosine is laid over; 0: all of the run's
  double lambda_ce = 1;               ///< weight of cross-entropy beside soft Dice (Eq. 4)
  double lambda_cl_dice = 0;          ///< weight of soft clDice; not the paper's
  double lambda_skeleton_recall = 0;  ///< weight of skeleton recall; not the paper's
  int skeleton_iterations = 10;       ///< of soft clDice: at least the largest radius of a vessel, px
  Precision precision = Precision::kFp32;
  at::ScalarType image_type = at::kFloat;  ///< of the images in memory: float, or half
  bool synchronised_norms = true;  ///< several processes: batch norms see the whole batch, not their share of it
  Validation validation = Validation::kSplit;
  int folds = 3;                          ///< of the fine-tuning set, with Validation::kFold
  int fold = 0;                           ///< the one that is measured on instead of learnt from
  std::int64_t validate_every_steps = 0;  ///< 0: after every epoch
  std::uint64_t seed = 42;
  double max_minutes = 0;

  /// @throws Error kInvalidArgument naming the key.
  void check() const;
};
/// Keys "finetune.*" and "model.*".
void describe(FinetuneOptions& options, Fields& fields);

struct FinetuneRequest {
  std::filesystem::path store;
  std::filesystem::path init;  ///< run folder or weights; empty to start from scratch
  int labels = 0;              ///< how many labelled images, a nested seeded subset; 0 for all
  std::filesystem::path out;
  bool resume = false;
  bool force = false;
  std::string device = "cpu";
  const std::atomic<bool>* stop_flag = nullptr;
};

/// What a run would do, for --dry-run.
Json plan_finetune(const FinetuneOptions& options, const FinetuneRequest& request);

/// Trains on the store's train split, chooses the best step by mean per-image Dice on its val split or on a fold (see
/// `Validation`), and never opens test. Without either the last step is the model, and the record says so.
/// Leaves checkpoints/best.safetensors (when validated), last.safetensors and last.state.safetensors.
/// @return the content of run.json. @throws as `pretrain`, with run.json saying "diverged" after kNumeric;
/// kInvalidArgument when nothing of `init` fits.
Json finetune(const FinetuneOptions& options, const FinetuneRequest& request, const Observer& observer);

/// Vessel probabilities [N, H, W] of prepared images [N, 1, H, W] (H, W multiples of 16), in evaluation mode, in
/// batches, on the images' device.
at::Tensor vessel_probability(nn::UNet unet, const at::Tensor& images, std::int64_t batch_size = 8);

/// Mean per-image Dice at probability 0.5; empty/empty counts as 1. The value that selects models.
double mean_dice(const at::Tensor& probability_nhw, const at::Tensor& target_nhw);

}  // namespace cmunet::train
