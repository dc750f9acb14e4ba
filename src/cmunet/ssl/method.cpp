// SPDX-License-Identifier: Apache-2.0
#include "cmunet/ssl/method.h"

#include <torch/torch.h>

#include "cmunet/base/error.h"
#include "cmunet/ssl/cm_unet.h"

namespace cmunet::ssl {

std::string_view to_string(MethodKind kind) {
  for (const auto& [name, value] : kMethodNames) {
    if (value == kind) return name;
  }
  return "";
}

void describe(MethodOptions& o, Fields& f) {
  f.add("model.base_width", o.unet.base_width, "channels of the first level; 64 in the paper");
  f.add("pretrain.method", o.kind, std::span(kMethodNames), "what is learned");
  describe(o.cm_unet, f);
}

std::unique_ptr<Method> make_method(const MethodOptions& options, std::uint64_t seed) {
  torch::manual_seed(seed);
  switch (options.kind) {
    case MethodKind::kCmUnet: return std::make_unique<CmUnet>(options.unet, options.cm_unet);
  }
  throw Error(ErrorCode::kInternal, "[make_method] unknown method");
}

}  // namespace cmunet::ssl
