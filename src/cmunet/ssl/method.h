// SPDX-License-Identifier: Apache-2.0
// What a self-supervised pre-training method is to the training loop.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cmunet/base/config.h"
#include "cmunet/base/random.h"
#include "cmunet/nn/unet.h"
#include "cmunet/ssl/cm_unet_options.h"

namespace cmunet::ssl {

enum class MethodKind { kCmUnet };

inline constexpr std::array<std::pair<std::string_view, MethodKind>, 1> kMethodNames{{
    {"cm_unet", MethodKind::kCmUnet},
}};
std::string_view to_string(MethodKind kind);

/// A scalar with a gradient, and the numbers worth logging beside it (detached scalars).
struct Loss {
  at::Tensor total;
  std::vector<std::pair<std::string, at::Tensor>> parts;
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
  /// The network that fine-tuning starts from (all of it but conv_last).
  virtual nn::UNet unet() = 0;

  /// Makes the network's inputs from prepared images: the data part of a step, without gradient.
  /// @param images  [N, 1, S, S] float on the training device; N ≥ 2
  /// @param rng     the only source of randomness
  virtual std::vector<at::Tensor> make_inputs(const at::Tensor& images, Rng& rng) = 0;
  /// Forward pass on what `make_inputs` returned.
  virtual Loss loss(const std::vector<at::Tensor>& inputs) = 0;
  /// Called after every optimiser step (momentum updates).
  virtual void after_step() {}
  /// Reconstructions of the first images of a batch, in evaluation mode; empty tensors when the method has none.
  virtual Pictures pictures(const std::vector<at::Tensor>& inputs) = 0;
};

/// The options of all methods, one member each; all are described, only the chosen one is checked.
struct MethodOptions {
  MethodKind kind = MethodKind::kCmUnet;
  nn::UNetOptions unet;
  CmUnetOptions cm_unet;
};
/// Keys "model.base_width", "pretrain.method" and "pretrain.<method>.*".
void describe(MethodOptions& options, Fields& fields);

/// Builds the method on the CPU with weights from `seed`. @throws Error kInvalidArgument from its options' check.
std::unique_ptr<Method> make_method(const MethodOptions& options, std::uint64_t seed);

}  // namespace cmunet::ssl
