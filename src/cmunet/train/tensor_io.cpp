// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/tensor_io.h"

#include <torch/torch.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "cmunet/base/error.h"

namespace cmunet::train {
namespace {

constexpr std::array<std::pair<DType, at::ScalarType>, 10> kTypes{{{DType::kF64, at::kDouble},
                                                                   {DType::kF32, at::kFloat},
                                                                   {DType::kF16, at::kHalf},
                                                                   {DType::kBF16, at::kBFloat16},
                                                                   {DType::kI64, at::kLong},
                                                                   {DType::kI32, at::kInt},
                                                                   {DType::kI16, at::kShort},
                                                                   {DType::kI8, at::kChar},
                                                                   {DType::kU8, at::kByte},
                                                                   {DType::kBool, at::kBool}}};

DType dtype_of(at::ScalarType type) {
  const auto* row = std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& r) { return r.second == type; });
  CMUNET_CHECK(row != kTypes.end(), ErrorCode::kInternal, "[save_tensors] dtype ", type, " has no safetensors name");
  return row->first;
}

at::ScalarType scalar_type_of(DType dtype) {
  return std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& r) { return r.first == dtype; })->second;
}

bool starts_with_any(const std::string& name, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string& p) { return name.starts_with(p); });
}

void copy_from(at::Tensor& tensor, const TensorRef& ref) {
  const torch::NoGradGuard no_grad;
  tensor.copy_(to_tensor(ref));
}

}  // namespace

NamedTensors state_of(const torch::nn::Module& module, const std::string& prefix) {
  NamedTensors tensors;
  for (const auto& item : module.named_parameters()) tensors.emplace_back(prefix + item.key(), item.value());
  for (const auto& item : module.named_buffers()) tensors.emplace_back(prefix + item.key(), item.value());
  return tensors;
}

void save_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<at::Tensor> kept;  // keeps CPU copies alive until they are written
  std::vector<TensorRef> refs;
  kept.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor& t = kept.emplace_back(tensor.detach().to(at::kCPU).contiguous());
    const auto* bytes = static_cast<const std::byte*>(t.data_ptr());
    refs.push_back({name, dtype_of(t.scalar_type()), t.sizes().vec(), {bytes, t.nbytes()}});
  }
  write_safetensors(path, refs, metadata);
}

at::Tensor to_tensor(const TensorRef& ref) {
  at::Tensor tensor = torch::empty(ref.shape, torch::TensorOptions(scalar_type_of(ref.dtype)));
  if (!ref.bytes.empty()) std::memcpy(tensor.data_ptr(), ref.bytes.data(), ref.bytes.size());
  return tensor;
}

LoadReport load_into(torch::nn::Module& module, const SafetensorsFile& file, const std::vector<std::string>& skip) {
  LoadReport report;
  std::set<std::string> known;
  for (auto& [name, tensor] : state_of(module)) {
    known.insert(name);
    if (!file.contains(name) || starts_with_any(name, skip)) {
      report.missing.push_back(name);
    } else if (file.at(name).shape != tensor.sizes().vec()) {
      report.mismatched.push_back(name);
    } else {
      copy_from(tensor, file.at(name));
      report.loaded.push_back(name);
    }
  }
  for (const TensorRef& ref : file.tensors()) {
    if (!known.contains(ref.name)) report.unused.push_back(ref.name);
  }
  return report;
}

void load_exactly(torch::nn::Module& module, const SafetensorsFile& file, const std::string& prefix) {
  for (auto& [name, tensor] : state_of(module, prefix)) {
    const TensorRef& ref = file.at(name);
    CMUNET_CHECK(ref.shape == tensor.sizes().vec(), ErrorCode::kCorrupt, "[checkpoint] ", file.path().string(),
                 ": tensor '", name, "' is [", at::IntArrayRef(ref.shape), "]; this architecture needs ",
                 tensor.sizes());
    copy_from(tensor, ref);
  }
}

}  // namespace cmunet::train
