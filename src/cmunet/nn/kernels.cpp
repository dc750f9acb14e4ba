// SPDX-License-Identifier: Apache-2.0
#include "cmunet/nn/kernels.h"

#include <array>

namespace cmunet::nn {
namespace {

constexpr std::array<std::pair<std::string_view, Kernels>, 2> kKernelsNames{
    {{"torch", Kernels::kTorch}, {"native", Kernels::kNative}}};

}  // namespace

std::span<const std::pair<std::string_view, Kernels>> kernels_names() { return kKernelsNames; }

}  // namespace cmunet::nn
