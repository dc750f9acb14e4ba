// SPDX-License-Identifier: Apache-2.0
// MoCo v2 (Chen et al., arXiv 2003.04297) with the UNet's encoder: two views of an image agree, against a queue of keys
// of earlier images. Only the encoder is learnt; fine-tuning starts its decoder anew.
#pragma once

#include <torch/nn/modules/container/sequential.h>

#include "cmunet/ssl/method.h"
#include "cmunet/ssl/moco_v2_options.h"

namespace cmunet::ssl {

/// Query and key encoders, each followed by global average pooling (and a head when asked for), and the queue.
/// 2 · 18,849,984 = 37,699,968 parameters at base 64 without a head, half of them frozen.
class MocoV2ModuleImpl : public torch::nn::Module {
 public:
  MocoV2ModuleImpl(const nn::UNetOptions& unet_options, const MocoV2Options& options);

  /// Unit vectors [N, D] of views [N, 1, s, s].
  at::Tensor query(const at::Tensor& views);
  /// The same by the key side, without gradient.
  at::Tensor key(const at::Tensor& views);

  nn::UNetEncoder query_encoder, key_encoder;
  torch::nn::Sequential query_head, key_head;  ///< empty without mlp_head
  at::Tensor queue;                            ///< buffer [K, D] of unit vectors, random at first
  at::Tensor queue_next;                       ///< buffer, int64 scalar: the row that is replaced next
};
TORCH_MODULE(MocoV2Module);

/// inputs: two views, each [N, 1, s, s].
class MocoV2 : public Method {
 public:
  MocoV2(const nn::UNetOptions& unet_options, const MocoV2Options& options);

  MethodKind kind() const override { return MethodKind::kMocoV2; }
  torch::nn::Module& module() override { return *module_; }
  torch::nn::Module& backbone() override { return *module_->query_encoder; }
  int input_size() const override { return options_.crop.size; }
  std::vector<at::Tensor> make_inputs(const at::Tensor& images, std::span<Rng> rngs) override;
  /// Keys of this batch, those of all processes, wait for `after_step`, so that they are nobody's negatives within the
  /// step.
  Loss loss(const std::vector<at::Tensor>& inputs) override;
  /// Moves the key encoder, then puts the waiting keys into the queue.
  void after_step() override;

 private:
  at::Tensor view(const at::Tensor& images, std::span<Rng> rngs) const;

  MocoV2Options options_;
  MocoV2Module module_;
  std::vector<at::Tensor> waiting_;
};

/// Replaces the oldest rows of `queue` [K, D] by `keys` [N, D], wrapping round; of more than K keys the last stay.
/// @param next  [1] int64: the row that is replaced next; moves on. On the device of `queue`, which need not be asked.
void enqueue(at::Tensor& queue, at::Tensor& next, const at::Tensor& keys);

/// Cross-entropy of [q·k, q·queueᵀ] / temperature with the first as the right class, mean over the batch of all
/// processes.
/// @param q, k  [N, D] unit vectors; @param queue [K, D] unit vectors
at::Tensor queue_contrast(const at::Tensor& q, const at::Tensor& k, const at::Tensor& queue, double temperature);

}  // namespace cmunet::ssl
