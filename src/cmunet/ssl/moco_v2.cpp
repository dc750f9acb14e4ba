// SPDX-License-Identifier: Apache-2.0
#include "cmunet/ssl/moco_v2.h"

#include <torch/torch.h>

#include <algorithm>

#include "cmunet/augment/batch.h"
#include "cmunet/augment/blur.h"
#include "cmunet/augment/views.h"
#include "cmunet/base/error.h"
#include "cmunet/nn/communicator.h"
#include "cmunet/nn/exact.h"
#include "cmunet/ssl/momentum.h"

namespace cmunet::ssl {
namespace {

constexpr std::int64_t kHeadOutputs = 128;
constexpr double kBlurSigmaMin = 0.1, kBlurSigmaMax = 2.0;
constexpr int kBlurRadius = 4;

torch::nn::Sequential make_head(std::int64_t features, bool wanted) {
  torch::nn::Sequential head;
  if (!wanted) return head;
  head->push_back(torch::nn::Linear(features, features));
  head->push_back(torch::nn::ReLU());
  head->push_back(torch::nn::Linear(features, kHeadOutputs));
  return head;
}

at::Tensor embed(nn::UNetEncoder& encoder, torch::nn::Sequential& head, const at::Tensor& views) {
  at::Tensor pooled = encoder->forward(views).latent.mean({2, 3});  // [N, 16·base]
  if (!head->is_empty()) pooled = head->forward(pooled);
  if (pooled.scalar_type() != at::kDouble) pooled = pooled.to(at::kFloat);
  return torch::nn::functional::normalize(pooled, torch::nn::functional::NormalizeFuncOptions().dim(1));
}

}  // namespace

void MocoV2Options::check() const {
  check_ranges(*this);
  crop.check("pretrain.moco_v2.crop", nn::kTotalStride);
}

void describe(MocoV2Options& o, Fields& f) {
  const std::string section = "pretrain.moco_v2.";
  augment::describe(o.crop, section + "crop", f);
  f.add(section + "rotation_probability", o.rotation_probability, "of a turn by any angle", kShare);
  f.add(section + "blur_probability", o.blur_probability, "of Gaussian blur", kShare);
  f.add(section + "flip_vertical_probability", o.flip_vertical_probability, "of a vertical flip", kShare);
  f.add(section + "noise_probability", o.noise_probability, "of Gaussian noise", kShare);
  f.add(section + "noise_fraction", o.noise_fraction, "its standard deviation over the view's maximum", kNotNegative);
  f.add(section + "queue_size", o.queue_size, "earlier keys kept as negatives", within(1, 1 << 20));
  f.add(section + "temperature", o.temperature, "of the contrast; 0.2 in the published method", kPositive);
  f.add(section + "momentum", o.momentum, "of the key encoder", kShare);
  f.add(section + "mlp_head", o.mlp_head, "two layers and 128 outputs, as in the published method");
}

MocoV2ModuleImpl::MocoV2ModuleImpl(const nn::UNetOptions& unet_options, const MocoV2Options& options)
    : query_encoder(register_module("query_encoder", nn::UNetEncoder(unet_options))),
      key_encoder(register_module("key_encoder", nn::UNetEncoder(unet_options))),
      query_head(register_module("query_head", make_head(16 * unet_options.base_width, options.mlp_head))),
      key_head(register_module("key_head", make_head(16 * unet_options.base_width, options.mlp_head))) {
  const std::int64_t dimension = options.mlp_head ? kHeadOutputs : 16 * unet_options.base_width;
  const auto unit = torch::nn::functional::NormalizeFuncOptions().dim(1);
  queue =
      register_buffer("queue", torch::nn::functional::normalize(torch::randn({options.queue_size, dimension}), unit));
  queue_next = register_buffer("queue_next", torch::zeros({1}, torch::kLong));
  for (const auto& [target, online] :
       {std::pair<torch::nn::Module*, torch::nn::Module*>{&*key_encoder, &*query_encoder},
        {&*key_head, &*query_head}}) {
    update_momentum(*target, *online, 0.0);
    freeze(*target);
  }
}

at::Tensor MocoV2ModuleImpl::query(const at::Tensor& views) { return embed(query_encoder, query_head, views); }

at::Tensor MocoV2ModuleImpl::key(const at::Tensor& views) {
  const torch::NoGradGuard no_grad;
  return embed(key_encoder, key_head, views);
}

MocoV2::MocoV2(const nn::UNetOptions& unet_options, const MocoV2Options& options)
    : options_((options.check(), options)), module_(unet_options, options) {}

// Turn, crop with flip, blur, vertical flip, noise: the order of the reference code.
at::Tensor MocoV2::view(const at::Tensor& images, std::span<Rng> rngs) const {
  std::vector<augment::Motion> turns;
  std::vector<augment::Orientation> flips;
  std::vector<augment::Blur> blurs;
  std::vector<float> noise;
  for (Rng& rng : rngs) {
    const double angle = rng.uniform(-180, 180), sigma = rng.uniform(kBlurSigmaMin, kBlurSigmaMax);
    turns.push_back({rng.bernoulli(options_.rotation_probability) ? angle : 0.0, 1.0});
    blurs.push_back({rng.bernoulli(options_.blur_probability) ? sigma : 0.0, kBlurRadius});
    flips.push_back(rng.bernoulli(options_.flip_vertical_probability) ? augment::Orientation::kFlipUpDown
                                                                      : augment::Orientation::kAsIs);
    noise.push_back(rng.bernoulli(options_.noise_probability) ? static_cast<float>(options_.noise_fraction) : 0.0F);
  }
  at::Tensor x = augment::moved(images, turns, augment::Sampling::kBilinear);
  x = augment::random_resized_crops(x, options_.crop, rngs);
  x = augment::oriented(augment::blurred(x, blurs), flips);
  const at::Tensor strength = augment::send(torch::tensor(noise).view({-1, 1, 1, 1}), x.device());
  const at::Tensor peak = x.amax({1, 2, 3}, true).clamp_min(0);
  return torch::addcmul(x, strength * peak, augment::normal_noise(x.sizes(), rngs, x.device()));
}

std::vector<at::Tensor> MocoV2::make_inputs(const at::Tensor& images, std::span<Rng> rngs) {
  const torch::NoGradGuard no_grad;
  at::Tensor first = view(images, rngs);
  return {std::move(first), view(images, rngs)};
}

Loss MocoV2::loss(const std::vector<at::Tensor>& inputs) {
  const at::Tensor q = module_->query(inputs[0]), k = module_->key(inputs[1]);
  const at::Tensor all_q = nn::gather_rows(q.detach()).rows;
  waiting_.push_back(nn::gather_rows(k).rows);
  Loss loss;
  // A copy: the queue changes before the gradient is asked for when several passes make a step.
  loss.total = queue_contrast(q, k, module_->queue.clone(), options_.temperature);
  loss.parts.emplace_back("loss_contrastive", loss.total.detach());
  loss.parts.emplace_back("positive_similarity", (all_q * waiting_.back()).sum(1).mean());
  loss.parts.emplace_back("negative_similarity", all_q.matmul(module_->queue.t()).mean());
  loss.embeddings.emplace_back("embedding", all_q);
  loss.embeddings.emplace_back("key", waiting_.back());
  return loss;
}

void MocoV2::after_step() {
  const torch::NoGradGuard no_grad;
  update_momentum(*module_->key_encoder, *module_->query_encoder, options_.momentum);
  update_momentum(*module_->key_head, *module_->query_head, options_.momentum);
  for (const at::Tensor& keys : waiting_) enqueue(module_->queue, module_->queue_next, keys);
  waiting_.clear();
}

void enqueue(at::Tensor& queue, at::Tensor& next, const at::Tensor& keys) {
  const std::int64_t capacity = queue.size(0), count = std::min(capacity, keys.size(0));
  const at::Tensor rows = torch::remainder(next + torch::arange(count, next.options()), capacity);
  queue.index_copy_(0, rows, keys.narrow(0, keys.size(0) - count, count).to(queue.scalar_type()));
  next.add_(count).remainder_(capacity);
}

at::Tensor queue_contrast(const at::Tensor& q, const at::Tensor& k, const at::Tensor& queue, double temperature) {
  const nn::WithoutAutocast exact;  // as in info_nce
  const at::Tensor single_q = nn::at_least_single(q);
  const at::Tensor positive = (single_q * nn::at_least_single(k)).sum(1, true);  // [N, 1]
  const at::Tensor logits = torch::cat({positive, single_q.matmul(queue.t().to(single_q))}, 1) / temperature;
  const at::Tensor first = torch::zeros({q.size(0)}, q.options().dtype(at::kLong));
  return nn::mean_over_processes(torch::cross_entropy_loss(logits, first, {}, at::Reduction::Sum), q.size(0));
}

}  // namespace cmunet::ssl
