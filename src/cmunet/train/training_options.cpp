// SPDX-License-Identifier: Apache-2.0
// The keys of [pretrain] and [finetune], and what goes together.
#include <array>
#include <string>

#include "cmunet/base/config.h"
#include "cmunet/train/finetune.h"
#include "cmunet/train/precision.h"
#include "cmunet/train/pretrain.h"

namespace cmunet::train {
namespace {

constexpr std::array<std::pair<std::string_view, Schedule>, 3> kPretrainSchedules{
    {{"constant", Schedule::kConstant}, {"cosine", Schedule::kCosine}, {"halve", Schedule::kHalve}}};
constexpr std::array<std::pair<std::string_view, Schedule>, 2> kFinetuneSchedules{
    {{"constant", Schedule::kConstant}, {"cosine", Schedule::kCosine}}};

// Keys that both kinds of training have.
template <typename Options>
void describe_arithmetic(Options& o, const std::string& section, const std::string& norms, Fields& f) {
  f.add(section + "precision", o.precision, precision_names(), "arithmetic of the forward pass");
  f.add(section + "image_type", o.image_type, image_type_names(), "in which images wait in memory");
  f.add(section + "synchronised_norms", o.synchronised_norms, norms);
}

}  // namespace

void PretrainOptions::check() const {
  check_ranges(*this);
  const bool touches_held_out = splits.find("val") != std::string::npos || splits.find("test") != std::string::npos;
  require_option(!touches_held_out, "pretrain.splits", splits, "of pretrain and train: val and test stay unseen");
}

void describe(PretrainOptions& o, Fields& f) {
  ssl::describe(o.method, f);
  f.add("pretrain.epochs", o.epochs, "passes over the images", kPositive);
  f.add("pretrain.steps", o.steps, "optimiser steps; replaces epochs when positive", kNotNegative);
  f.add("pretrain.batch_size", o.batch_size, "images per forward pass, and keys of InfoNCE", at_least(2));
  f.add("pretrain.accumulate", o.accumulate, "forward passes per optimiser step", kPositive);
  f.add("pretrain.base_lr", o.base_lr, "peak learning rate per 256 images", kPositive);
  f.add("pretrain.lr", o.lr, "peak learning rate itself when positive", kNotNegative);
  f.add("pretrain.schedule", o.schedule, std::span(kPretrainSchedules), "of the learning rate after the warm-up");
  f.add("pretrain.halve_every_epochs", o.halve_every_epochs, "with schedule = halve", kPositive);
  f.add("pretrain.warmup_epochs", o.warmup_epochs, "linear warm-up", kNotNegative);
  f.add("pretrain.warmup_start_factor", o.warmup_start_factor, "of the peak, where the warm-up starts", kShare);
  f.add("pretrain.end_factor", o.end_factor, "of the peak, where the cosine ends", kShare);
  f.add("pretrain.optimizer", o.optimizer, optimizer_names(), "how gradients become steps");
  f.add("pretrain.weight_decay", o.weight_decay, "not on biases and norms", kNotNegative);
  f.add("pretrain.weight_decay_end", o.weight_decay_end, "where a cosine takes the decay; negative: it stays");
  f.add("pretrain.beta1", o.beta1, "of AdamW and LAMB", kShareBelowOne);
  f.add("pretrain.beta2", o.beta2, "of AdamW and LAMB", kShareBelowOne);
  f.add("pretrain.sgd_momentum", o.sgd_momentum, "of SGD", kShareBelowOne);
  f.add("pretrain.max_gradient_norm", o.max_gradient_norm, "longer gradients are shortened; 0: never", kNotNegative);
  f.add("pretrain.decay_norms", o.decay_norms, "decay batch-norm weights too");
  describe_arithmetic(o, "pretrain.",
                      "several processes: batch norms see the whole batch everywhere, not in the heads alone", f);
  f.add("pretrain.splits", o.splits, "splits that are learnt from, comma-separated");
  f.add("pretrain.seed", o.seed, "seed of weights, order, views and masks");
  f.add("pretrain.max_minutes", o.max_minutes, "save and stop after this long, 0 for no limit", kNotNegative);
  f.add("pretrain.save_every_epochs", o.save_every_epochs, "how often the state is saved", kPositive);
  f.add("pretrain.picture_every_epochs", o.picture_every_epochs, "how often reconstructions are drawn", kPositive);
}

void FinetuneOptions::check() const {
  check_ranges(*this);
  unet.check();
  augment.check();
  require_option(fold < folds, "finetune.fold", fold, "below folds, from 0");
}

void describe(FinetuneOptions& o, Fields& f) {
  f.add("model.base_width", o.unet.base_width, "channels of the first level; 64 in the paper");
  f.add("model.kernels", o.unet.kernels, nn::kernels_names(), "native where it is faster, on a CPU in fp32; or torch");
  f.add("finetune.epochs", o.epochs, "passes over the labelled images", kPositive);
  f.add("finetune.steps", o.steps, "optimiser steps; replaces epochs when positive", kNotNegative);
  f.add("finetune.batch_size", o.batch_size, "images per step", kPositive);
  f.add("finetune.lr", o.lr, "learning rate of Adam", kPositive);
  f.add("finetune.schedule", o.schedule, std::span(kFinetuneSchedules), "of the learning rate");
  f.add("finetune.warmup_steps", o.warmup_steps, "linear warm-up", kNotNegative);
  f.add("finetune.schedule_steps", o.schedule_steps, "length of the schedule; 0: as long as the run", kNotNegative);
  f.add("finetune.weight_decay", o.weight_decay, "decoupled; 0 is plain Adam", kNotNegative);
  f.add("finetune.lambda_ce", o.lambda_ce, "weight of cross-entropy beside soft Dice", kNotNegative);
  f.add("finetune.lambda_cl_dice", o.lambda_cl_dice, "weight of soft clDice; 0 leaves it out", kNotNegative);
  f.add("finetune.lambda_skeleton_recall", o.lambda_skeleton_recall, "weight of skeleton recall; 0 leaves it out",
        kNotNegative);
  f.add("finetune.skeleton_iterations", o.skeleton_iterations, "of soft clDice: the largest radius of a vessel in px",
        within(1, 100));
  describe_arithmetic(o, "finetune.", "several processes: batch norms see the whole batch", f);
  f.add("finetune.validation", o.validation, validation_names(), "what the model is measured on meanwhile");
  f.add("finetune.folds", o.folds, "of the fine-tuning set, with validation = fold", at_least(2));
  f.add("finetune.fold", o.fold, "the one that is measured on, from 0", kNotNegative);
  f.add("finetune.validate_every_steps", o.validate_every_steps, "0: after every epoch", kNotNegative);
  f.add("finetune.seed", o.seed, "seed of weights, label subset, order and augmentation");
  f.add("finetune.max_minutes", o.max_minutes, "save and stop after this long, 0 for no limit", kNotNegative);
  augment::describe(o.augment, f);
}

}  // namespace cmunet::train
