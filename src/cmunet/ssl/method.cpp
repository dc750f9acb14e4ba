// SPDX-License-Identifier: Apache-2.0
#include "cmunet/ssl/method.h"

#include <torch/torch.h>

#include "cmunet/base/error.h"
#include "cmunet/ssl/cm_unet.h"
#include "cmunet/ssl/mae.h"
#include "cmunet/ssl/moco_v2.h"
#include "cmunet/ssl/models_genesis.h"
#include "cmunet/ssl/spark.h"

namespace cmunet::ssl {

std::string_view to_string(MethodKind kind) {
  for (const auto& [name, value] : kMethodNames) {
    if (value == kind) return name;
  }
  return "";
}

at::Tensor in_evaluation(torch::nn::Module& module, const std::function<at::Tensor()>& forward) {
  const torch::NoGradGuard no_grad;
  const bool was_training = module.is_training();
  module.eval();
  at::Tensor result = forward();
  module.train(was_training);
  return result;
}

void describe(MethodOptions& o, Fields& f) {
  f.add("model.base_width", o.unet.base_width, "channels of the first level; 64 in the paper");
  f.add("model.kernels", o.unet.kernels, nn::kernels_names(), "native where it is faster, on a CPU in fp32; or torch");
  f.add("pretrain.method", o.kind, std::span(kMethodNames), "what is learned");
  describe(o.cm_unet, f);
  describe(o.mae, f);
  describe(o.spark, f);
  describe(o.moco_v2, f);
  describe(o.models_genesis, f);
}

std::unique_ptr<Method> make_method(const MethodOptions& options, std::uint64_t seed) {
  torch::manual_seed(seed);
  switch (options.kind) {
    case MethodKind::kCmUnet: return std::make_unique<CmUnet>(options.unet, options.cm_unet);
    case MethodKind::kMae: return std::make_unique<Mae>(options.unet, options.mae);
    case MethodKind::kSpark: return std::make_unique<Spark>(options.unet, options.spark);
    case MethodKind::kMocoV2: return std::make_unique<MocoV2>(options.unet, options.moco_v2);
    case MethodKind::kModelsGenesis: return std::make_unique<ModelsGenesis>(options.unet, options.models_genesis);
  }
  throw Error(ErrorCode::kInternal, "[make_method] unknown method");
}

}  // namespace cmunet::ssl
