// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/checkpoint.h"

#include <torch/torch.h>

#include "cmunet/base/error.h"
#include "cmunet/base/hash.h"
#include "cmunet/base/log.h"
#include "cmunet/base/version.h"

namespace cmunet::train {
namespace fs = std::filesystem;

namespace {

constexpr int kStateVersion = 1;

fs::path previous_of(const fs::path& path) {
  fs::path previous = path;
  previous.replace_extension(".previous" + path.extension().string());
  return previous;
}

// As SafetensorsFile::content_hash of the file that they are written to.
std::string hash_of(const NamedTensors& tensors) {
  Hasher hasher;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor t = tensor.detach().to(at::kCPU).contiguous();
    hasher.update(name);
    hasher.update(std::span(static_cast<const std::byte*>(t.data_ptr()), t.nbytes()));
  }
  return hasher.hex();
}

TrainingState open_state(const fs::path& path) {
  TrainingState result{SafetensorsFile::open(path), {}};
  const std::string origin = path.string();
  const auto text = result.file.metadata().find("cmunet_state");
  CMUNET_CHECK(text != result.file.metadata().end(), ErrorCode::kCorrupt, "[checkpoint] ", origin,
               " is no training state of cmunet");
  result.state = parse_json(text->second, origin);
  const int version = json_get<int>(result.state, "version", origin);
  CMUNET_CHECK(version <= kStateVersion, ErrorCode::kUnsupported, "[checkpoint] ", origin, " has version ", version,
               "; this program reads up to ", kStateVersion);
  CMUNET_CHECK(json_get<std::string>(result.state, "hash", origin) == result.file.content_hash(), ErrorCode::kCorrupt,
               "[checkpoint] ", origin, " does not match its checksum");
  return result;
}

// Before a network is built: what it says of its size may be anything.
void check_architecture(const ModelInfo& info, const SafetensorsFile& file) {
  const std::vector<std::int64_t>& first = file.at("down_conv1.double_conv.double_conv.0.weight").shape;
  const std::vector<std::int64_t>& last = file.at("conv_last.weight").shape;
  const bool fits = first.size() == 4 && first[0] == info.base_width && first[1] == info.in_channels &&
                    last.size() == 4 && last[0] == info.classes;
  CMUNET_CHECK(fits, ErrorCode::kCorrupt, "[model] ", file.path().string(), " says base_width ", info.base_width, ", ",
               info.in_channels, " input channels and ", info.classes,
               " classes; its first and last convolutions have other shapes");
}

}  // namespace

void save_model(const fs::path& path, const torch::nn::Module& network, const ModelInfo& info) {
  NamedTensors tensors = state_of(network);
  for (auto& [name, tensor] : tensors) {
    if (tensor.scalar_type() == at::kDouble) tensor = tensor.detach().to(at::kFloat);  // as engines read them
  }
  save_tensors(path, tensors, {{"cmunet", model_metadata(info)}, {"format", "pt"}});
}

nn::UNetOptions unet_options(const ModelInfo& info) {
  return {info.in_channels, info.classes, info.base_width, nn::Kernels::kTorch};
}

Model load_model(const fs::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(find_model_file(path));
  Model model;
  model.info = read_model_info(file);
  CMUNET_CHECK(model.info.classes > 0, ErrorCode::kUnsupported, "[model] ", file.path().string(),
               " holds an encoder alone; expected a whole UNet, as cmunet finetune --init makes of it");
  check_architecture(model.info, file);
  model.unet = nn::UNet(unet_options(model.info));
  load_exactly(*model.unet, file);
  model.unet->eval();
  return model;
}

void save_state(const fs::path& path, const NamedTensors& tensors, const Json& state) {
  Json document = state;
  document["version"] = kStateVersion;
  document["hash"] = hash_of(tensors);
  const fs::path previous = previous_of(path);
  std::error_code ec;
  if (fs::exists(path, ec)) {
    // A hard link: `path` stands at every instant, and the rename inside save_tensors replaces it in one step.
    fs::remove(previous, ec);
    fs::create_hard_link(path, previous, ec);
  }
  save_tensors(
      path, tensors,
      {{"cmunet_state", document.dump(-1, ' ', false, Json::error_handler_t::replace)}, {"disclaimer", kDisclaimer}});
}

TrainingState load_state(const fs::path& path) {
  const bool exists = fs::exists(path);
  const fs::path previous = previous_of(path);
  if (!exists && !fs::exists(previous)) {
    throw Error(ErrorCode::kNotFound, concat("[checkpoint] there is no training state at ", path.string()),
                "start without --resume");
  }
  try {
    return open_state(path);
  } catch (const Error& e) {
    if (e.code() == ErrorCode::kUnsupported || !fs::exists(previous)) throw;
    log_warning(e.what(), "; continuing from the one before it, ", previous.string());
    return open_state(previous);
  }
}

}  // namespace cmunet::train
