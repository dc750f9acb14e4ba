// SPDX-License-Identifier: Apache-2.0
#include "cmunet/ssl/cm_unet.h"

#include <torch/torch.h>

#include "cmunet/augment/masking.h"
#include "cmunet/augment/vesselness.h"
#include "cmunet/base/error.h"
#include "cmunet/nn/communicator.h"
#include "cmunet/ssl/momentum.h"

namespace cmunet::ssl {
namespace {

// How contrast is going: similarity to the own key and to the others', and whether embeddings collapse.
void add_diagnostics(const at::Tensor& local_p, const at::Tensor& local_k, Loss& loss) {
  const at::Tensor p = nn::gather_rows(local_p).rows, k = nn::gather_rows(local_k).rows;
  const auto unit = torch::nn::functional::NormalizeFuncOptions().dim(1);
  const at::Tensor p_unit = torch::nn::functional::normalize(p.to(at::kDouble), unit);
  const at::Tensor k_unit = torch::nn::functional::normalize(k.to(at::kDouble), unit);
  const at::Tensor similarity = p_unit.matmul(k_unit.t());
  const at::Tensor positive = similarity.diagonal().mean();
  const auto n = static_cast<double>(p.size(0));
  loss.parts.emplace_back("positive_similarity", positive);
  loss.parts.emplace_back("negative_similarity", (similarity.sum() / n - positive) / (n - 1));
  loss.embeddings.emplace_back("embedding", p_unit);
  loss.embeddings.emplace_back("key", k_unit);
}

// Half the widths of arteries from 2 to 8 px of a 512-px angiogram, at the view's size.
std::vector<double> vessel_scales(int size) {
  const double zoom = size / 256.0;
  return {std::max(0.75, zoom), std::max(1.0, 2 * zoom)};
}

std::int64_t key_length(const CmUnetOptions& options) {
  return std::int64_t{options.views.view_size} * options.views.view_size;
}

}  // namespace

void CmUnetOptions::check() const {
  check_ranges(*this);
  views.check();
  require_option(views.view_size % nn::kTotalStride == 0, "pretrain.views.view_size", views.view_size,
                 "a multiple of 16");
  require_option(views.view_size % patch_size == 0, "pretrain.cm_unet.patch_size", patch_size, "a divisor of the view");
  require_option(lambda_r + lambda_c > 0, "pretrain.cm_unet.lambda_c", lambda_c, "above 0 with lambda_r 0");
  require_option(adapter_channels == nn::kTotalStride * nn::kTotalStride, "pretrain.cm_unet.adapter_channels",
                 adapter_channels, "256, so that the key is as long as the view has pixels");
}

void describe(CmUnetOptions& o, Fields& f) {
  augment::describe(o.views, f);
  f.add("pretrain.cm_unet.mask_ratio", o.mask_ratio, "share of patches hidden from the online branch", kShareBelowOne);
  f.add("pretrain.cm_unet.patch_size", o.patch_size, "side of a masked patch in pixels", kPositive);
  f.add("pretrain.cm_unet.vessel_guidance", o.vessel_guidance, "0 hides patches evenly, 1 where arteries seem to be",
        kShare);
  f.add("pretrain.cm_unet.lambda_r", o.lambda_r, "weight of the reconstruction loss", kNotNegative);
  f.add("pretrain.cm_unet.lambda_c", o.lambda_c, "weight of the contrastive loss; 0 skips that branch", kNotNegative);
  f.add("pretrain.cm_unet.temperature", o.temperature, "of InfoNCE", kPositive);
  f.add("pretrain.cm_unet.momentum", o.momentum, "of the target encoder and projector", kShare);
  f.add("pretrain.cm_unet.projector_hidden", o.projector_hidden, "width of the heads' hidden layer", kPositive);
  f.add("pretrain.cm_unet.embedding", o.embedding, "dimension in which images are compared", kPositive);
  f.add("pretrain.cm_unet.train_adapter", o.train_adapter, "learn the 1x1 adapter instead of keeping it random");
  f.add("pretrain.cm_unet.target_norm", o.target_norm, nn::target_norm_names(), "what is reconstructed");
  f.add("pretrain.cm_unet.kaiming_encoder", o.kaiming_encoder,
        "the paper's larger initial weights of the encoder instead of PyTorch's");
}

CmUnetModuleImpl::CmUnetModuleImpl(const nn::UNetOptions& unet_options, const CmUnetOptions& options)
    : unet(register_module("unet", nn::UNet(unet_options))),
      feature_decoder(register_module("feature_decoder", nn::UNetDecoder(unet_options))),
      projector(register_module("projector",
                                nn::ProjectionHead(key_length(options), options.projector_hidden, options.embedding))),
      predictor(register_module("predictor",
                                nn::ProjectionHead(options.embedding, options.projector_hidden, options.embedding))),
      adapter(register_module("adapter", torch::nn::Conv2d(torch::nn::Conv2dOptions(16 * unet_options.base_width,
                                                                                    options.adapter_channels, 1)))),
      momentum_encoder(register_module("momentum_encoder", nn::UNetEncoder(unet_options))),
      momentum_projector(register_module(
          "momentum_projector", nn::ProjectionHead(key_length(options), options.projector_hidden, options.embedding))) {
  if (options.kaiming_encoder) nn::init_kaiming_fan_out(*unet->encoder());
  update_momentum(*momentum_encoder, *unet->encoder(), 0.0);
  update_momentum(*momentum_projector, *projector, 0.0);
  freeze(*momentum_encoder);
  freeze(*momentum_projector);
  if (!options.train_adapter) freeze(*adapter);
}

CmUnet::CmUnet(const nn::UNetOptions& unet_options, const CmUnetOptions& options)
    : options_((options.check(), options)), module_(unet_options, options) {
  CMUNET_CHECK(unet_options.in_channels == 1 && unet_options.classes == 2, ErrorCode::kInvalidArgument,
               "[cm_unet] model has ", unet_options.in_channels, " input channels and ", unet_options.classes,
               " classes; CM-UNet needs 1 and 2");
}

at::Tensor CmUnet::hidden_pixels(const at::Tensor& view, std::span<Rng> rngs) const {
  const int size = options_.views.view_size, patch = options_.patch_size;
  if (options_.vessel_guidance == 0) {
    return augment::random_patch_mask(size, size, patch, options_.mask_ratio, rngs, view.device());
  }
  const at::Tensor score = torch::avg_pool2d(augment::vesselness(view, vessel_scales(size)), patch).flatten(1);
  const at::Tensor share = score / score.sum(1, true).clamp_min(1e-12);
  const double even = (1 - options_.vessel_guidance) / static_cast<double>(score.size(1));
  return augment::weighted_patch_mask(options_.vessel_guidance * share + even, size, size, patch, options_.mask_ratio,
                                      rngs);
}

std::vector<at::Tensor> CmUnet::make_inputs(const at::Tensor& images, std::span<Rng> rngs) {
  const torch::NoGradGuard no_grad;
  const augment::Views views = augment::make_views(images, options_.views, rngs);
  const at::Tensor masked = hidden_pixels(views.online, rngs);
  return {augment::apply_mask(views.online, masked), views.online, masked, views.momentum};
}

at::Tensor CmUnet::keys(const at::Tensor& view) {
  at::Tensor latent;
  {
    const torch::NoGradGuard no_grad;
    latent = module_->momentum_encoder->forward(view).latent;  // [N, 16·base, v/16, v/16]
  }
  // Only a learned adapter wants a gradient; it then flows through the frozen momentum projector.
  const torch::AutoGradMode grad(options_.train_adapter && torch::GradMode::is_enabled());
  return module_->momentum_projector->forward(module_->adapter->forward(latent).flatten(1));  // [N, v²] -> [N, D]
}

Loss CmUnet::loss(const std::vector<at::Tensor>& inputs) {
  const at::Tensor &masked_view = inputs[0], &view = inputs[1], &masked = inputs[2], &other_view = inputs[3];
  const nn::Features features = module_->unet->encoder()->forward(masked_view);
  Loss loss;
  loss.total = torch::zeros({}, view.options());
  if (options_.lambda_r > 0) {
    const at::Tensor reconstruction = module_->unet->decoder()->forward(features).narrow(1, 1, 1);  // channel 1
    const at::Tensor target = nn::normalise_target(view, options_.target_norm, options_.patch_size);
    const at::Tensor l_rec = nn::masked_mse(reconstruction.to(target.scalar_type()), target, masked);
    loss.total = loss.total + options_.lambda_r * l_rec;
    loss.parts.emplace_back("loss_reconstruction", l_rec.detach());
  }
  if (options_.lambda_c > 0) {
    const at::Tensor map = module_->feature_decoder->forward(features).mean(1);  // [N, 2, v, v] -> [N, v, v]
    const at::Tensor p = module_->predictor->forward(module_->projector->forward(map.flatten(1)));
    const at::Tensor k = keys(other_view);
    const at::Tensor l_con = nn::info_nce(p, k, options_.temperature);
    loss.total = loss.total + options_.lambda_c * l_con;
    loss.parts.emplace_back("loss_contrastive", l_con.detach());
    add_diagnostics(p.detach(), k.detach(), loss);
  }
  return loss;
}

void CmUnet::after_step() {
  if (options_.lambda_c == 0) return;
  update_momentum(*module_->momentum_encoder, *module_->unet->encoder(), options_.momentum);
  update_momentum(*module_->momentum_projector, *module_->projector, options_.momentum);
}

Pictures CmUnet::pictures(const std::vector<at::Tensor>& inputs) {
  if (options_.lambda_r == 0) return {};  // the pixel decoder was never taught
  const at::Tensor reconstruction =
      in_evaluation(*module_, [&] { return module_->unet->forward(inputs[0]).narrow(1, 1, 1); });
  return {inputs[0], reconstruction, nn::normalise_target(inputs[1], options_.target_norm, options_.patch_size)};
}

}  // namespace cmunet::ssl
