// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/torch_engine.h"

#include <torch/torch.h>

#include <algorithm>
#include <cstring>

#include "cmunet/base/error.h"
#include "cmunet/train/control.h"
#include "cmunet/train/precision.h"
#include "cmunet/train/session.h"

namespace cmunet::train {
namespace {

constexpr std::size_t kMaxBatch = 8;

std::int64_t padding_to_stride(std::int64_t size) {
  return (nn::kTotalStride - size % nn::kTotalStride) % nn::kTotalStride;
}

class TorchEngine : public engine::Engine {
 public:
  TorchEngine(Model model, at::Device device, Precision precision)
      : model_(std::move(model)), device_(device), precision_(precision) {
    CMUNET_CHECK(model_.info.in_channels == 1 && model_.info.classes == 2, ErrorCode::kUnsupported,
                 "[engine] the model has ", model_.info.in_channels, " input channels and ", model_.info.classes,
                 " classes; expected 1 and 2");
    CMUNET_CHECK(precision != Precision::kFp16 || device_.is_cuda(), ErrorCode::kUnsupported,
                 "[engine] LibTorch has no convolutions in fp16 on a CPU; expected fp32 or bf16, or --device cuda");
    model_.unet->to(device_);
    if (device_.is_cuda()) use_channels_last(*model_.unet);
    model_.unet->eval();
  }

  std::string name() const override { return concat("libtorch ", device_.str(), " ", name_of(precision_)); }

  std::vector<image::ImageF> vessel_probability(std::span<const image::ImageF> images) override {
    std::vector<image::ImageF> results;
    results.reserve(images.size());
    for (std::size_t first = 0; first < images.size();) {
      std::size_t last = first + 1;  // one batch: neighbours of one size
      while (last < images.size() && last - first < kMaxBatch && images[last].height() == images[first].height() &&
             images[last].width() == images[first].width()) {
        ++last;
      }
      run_batch(images.subspan(first, last - first), results);
      first = last;
    }
    return results;
  }

 private:
  void run_batch(std::span<const image::ImageF> images, std::vector<image::ImageF>& results) {
    const torch::NoGradGuard no_grad;
    const std::int64_t height = images.front().height(), width = images.front().width();
    CMUNET_CHECK(height > 0 && width > 0, ErrorCode::kInvalidArgument, "[engine] an image is empty");
    const auto count = static_cast<std::int64_t>(images.size());
    at::Tensor batch = torch::empty({count, 1, height, width});
    for (std::int64_t i = 0; i < count; ++i) {
      const image::ImageF& picture = images[static_cast<std::size_t>(i)];
      std::memcpy(batch[i].data_ptr<float>(), picture.data(), picture.size() * sizeof(float));
    }
    const std::int64_t pad_y = padding_to_stride(height), pad_x = padding_to_stride(width);
    if (pad_y + pad_x > 0) {
      // Replication works for images smaller than the padding too; reflection would not.
      batch = torch::nn::functional::pad(
          batch, torch::nn::functional::PadFuncOptions({0, pad_x, 0, pad_y}).mode(torch::kReplicate));
    }
    at::Tensor logits;
    {
      const Autocast autocast(precision_, device_);
      logits = model_.unet->forward(batch.to(device_));
    }
    const at::Tensor probability = torch::softmax(logits.to(at::kFloat), 1)
                                       .select(1, 1)
                                       .slice(1, 0, height)
                                       .slice(2, 0, width)
                                       .to(at::kCPU)
                                       .contiguous();  // [N, H, W]
    for (std::int64_t i = 0; i < count; ++i) {
      image::ImageF& result = results.emplace_back(static_cast<int>(height), static_cast<int>(width));
      std::memcpy(result.data(), probability[i].data_ptr<float>(), result.size() * sizeof(float));
      result.spacing_mm = images[static_cast<std::size_t>(i)].spacing_mm;
    }
  }

  Model model_;
  at::Device device_;
  Precision precision_;
};

}  // namespace

std::shared_ptr<engine::Engine> make_torch_engine(Model model, const std::string& device, Precision precision) {
  return std::make_shared<TorchEngine>(std::move(model), parse_device(device), precision);
}

}  // namespace cmunet::train
