// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "cmunet/augment/views.h"
#include "cmunet/base/config.h"
#include "cmunet/nn/losses.h"

namespace cmunet::ssl {

/// Settings of CM-UNet pre-training; the defaults are the paper's, or the reference code's where the paper is silent.
struct CmUnetOptions {
  augment::ViewOptions views;
  double mask_ratio = 0.65;  ///< share of patches hidden from the online branch
  int patch_size = 16;       ///< side of a masked patch, px; divides the view
  /// Beyond the paper, after VasoMIM (AAAI 2026): 0 draws hidden patches evenly, 1 in proportion to how much their
  /// pixels look like arteries (Frangi's filter), values between mix both.
  double vessel_guidance = 0;
  double lambda_r = 1.0;  ///< weight of the reconstruction loss; 0 leaves contrast alone
  /// Weight of InfoNCE; 0 leaves reconstruction alone and skips the momentum branch. 0.14 equals the reference code's
  /// 2 · temperature · 1.0.
  double lambda_c = 0.14;
  double temperature = 0.07;    ///< lower sharpens the contrast
  double momentum = 0.996;      ///< of the target encoder and projector; nearer 1 is slower
  int projector_hidden = 1536;  ///< the projector's first layer holds view² · hidden weights: 77 M at 224²
  int embedding = 256;          ///< dimension in which images are compared
  int adapter_channels = 256;   ///< 16² makes the key vector as long as the view has pixels
  bool train_adapter = false;   ///< learn the 1×1 adapter of the key branch instead of keeping it fixed and random
  nn::TargetNorm target_norm = nn::TargetNorm::kNone;  ///< what the reconstruction is compared with
  /// The paper's start of the encoder, Kaiming's with fan-out; without it PyTorch's default, as everywhere else.
  bool kaiming_encoder = true;

  /// @throws Error kInvalidArgument naming the key.
  void check() const;
};

/// Keys "pretrain.cm_unet.*".
void describe(CmUnetOptions& options, Fields& fields);

}  // namespace cmunet::ssl
