// SPDX-License-Identifier: Apache-2.0
// What a self-supervised pre-training method is to the training loop.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cmunet/base/config.h"
#include "cmunet/base/random.h"
#include "cmunet/nn/unet.h"
#include "cmunet/ssl/cm_unet_options.h"
#include "cmunet/ssl/mae_options.h"
#include "cmunet/ssl/moco_v2_options.h"
#include "cmunet/ssl/models_genesis_options.h"
#include "cmunet/ssl/spark_options.h"

namespace cmunet::ssl {

enum class MethodKind { kCmUnet, kMae, kSpark, kMocoV2, kModelsGenesis };

inline constexpr std::array<std::pair<std::string_view, MethodKind>, 5> kMethodNames{{
    {"cm_unet", MethodKind::kCmUnet},
    {"mae", MethodKind::kMae},
    {"spark", MethodKind::kSpark},
    {"moco_v2", MethodKind::kMocoV2},
    {"models_genesis", MethodKind::kModelsGenesis},
}};
std::string_view to_string(MethodKind kind);

/// A scalar with a gradient, and the numbers worth logging beside it (detached scalars).
struct Loss {
  at::Tensor total;
  std::vector<std::pair<std::string, at::Tensor>> parts;
  /// [N, D] without a gradient, by name: whether they collapse is worth logging (spread.h), but not worth the time in
  /// every step.
  std::vector<std::pair<std::string, at::Tensor>> embeddings = {};
};

/// A few images side by side, for looking at: [n, 1, H, W] each, in the z-scored units of the store.
struct Pictures {
  at::Tensor input;           ///< what the network saw
  at::Tensor reconstruction;  ///< what it made of it
  at::Tensor target;          ///< what was there
};

/// One of the project's three inheritance seams. A method owns its modules; the loop owns data, optimiser and time.
class Method {
 public:
  virtual ~Method() = default;

  virtual MethodKind kind() const = 0;
  /// Everything it registers: saved in the training state; parameters with requires_grad are optimised.
  virtual torch::nn::Module& module() = 0;
  /// What fine-tuning starts from, under the reference UNet's names: a UNet (all of it but conv_last) or its encoder.
  virtual torch::nn::Module& backbone() = 0;
  /// Side of the pictures that the network sees, px.
  virtual int input_size() const = 0;

  /// Makes the network's inputs from prepared images: the data part of a step, without gradient.
  /// @param images  [N, 1, S, S] float on the training device
  /// @param rngs    [N], the only source of randomness: what becomes of an image hangs on its own generator alone
  virtual std::vector<at::Tensor> make_inputs(const at::Tensor& images, std::span<Rng> rngs) = 0;
  /// Forward pass on what `make_inputs` returned; at least 2 images, counting those of other processes.
  virtual Loss loss(const std::vector<at::Tensor>& inputs) = 0;
  /// Called after every step (momentum updates), also one that the optimiser skipped.
  virtual void after_step() {}
  /// Reconstructions of the first images of a batch, in evaluation mode; empty tensors when the method has none.
  virtual Pictures pictures([[maybe_unused]] const std::vector<at::Tensor>& inputs) { return {}; }
};

/// `forward()` with `module` in evaluation mode and without gradient; the mode is restored.
at::Tensor in_evaluation(torch::nn::Module& module, const std::function<at::Tensor()>& forward);

/// The options of all methods, one member each; all are described, only the chosen one is checked.
struct MethodOptions {
  MethodKind kind = MethodKind::kCmUnet;
  nn::UNetOptions unet;
  CmUnetOptions cm_unet;
  MaeOptions mae;
  SparkOptions spark;
  MocoV2Options moco_v2;
  ModelsGenesisOptions models_genesis;
};
/// Keys "model.base_width", "pretrain.method" and "pretrain.<method>.*".
void describe(MethodOptions& options, Fields& fields);

/// Builds the method on the CPU with weights from `seed`. @throws Error kInvalidArgument from its options' check.
std::unique_ptr<Method> make_method(const MethodOptions& options, std::uint64_t seed);

}  // namespace cmunet::ssl
