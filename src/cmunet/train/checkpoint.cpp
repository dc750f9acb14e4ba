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

constexpr int kModelVersion = 1;
constexpr int kStateVersion = 1;

fs::path previous_of(const fs::path& path) {
  fs::path previous = path;
  previous.replace_extension(".previous" + path.extension().string());
  return previous;
}

std::string hash_of(const NamedTensors& tensors) {
  Hasher hasher;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor t = tensor.detach().to(at::kCPU).contiguous();
    hasher.update(name);
    hasher.update(std::span(static_cast<const std::byte*>(t.data_ptr()), t.nbytes()));
  }
  return hasher.hex();
}

std::string hash_of(const SafetensorsFile& file) {
  Hasher hasher;
  for (const TensorRef& ref : file.tensors()) {
    hasher.update(ref.name);
    hasher.update(ref.bytes);
  }
  return hasher.hex();
}

const std::string& metadata_of(const SafetensorsFile& file, const char* key, const char* hint) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) {
    throw Error(ErrorCode::kCorrupt, concat("[checkpoint] ", file.path().string(), " has no '", key, "' metadata"),
                hint);
  }
  return found->second;
}

TrainingState open_state(const fs::path& path) {
  TrainingState result{SafetensorsFile::open(path), {}};
  const std::string origin = path.string();
  result.state = parse_json(metadata_of(result.file, "cmunet_state", "is it a training state of cmunet?"), origin);
  const int version = json_get<int>(result.state, "version", origin);
  CMUNET_CHECK(version <= kStateVersion, ErrorCode::kUnsupported, "[checkpoint] ", origin, " has version ", version,
               "; this program reads up to ", kStateVersion);
  CMUNET_CHECK(json_get<std::string>(result.state, "hash", origin) == hash_of(result.file), ErrorCode::kCorrupt,
               "[checkpoint] ", origin, " does not match its checksum");
  return result;
}

}  // namespace

void save_model(const fs::path& path, const nn::UNet& unet, const ModelInfo& info) {
  const Json document = {{"format", "cmunet-model"},
                         {"version", kModelVersion},
                         {"created_by", concat("cmunet ", kVersion)},
                         {"disclaimer", kDisclaimer},
                         {"kind", info.kind},
                         {"method", info.method},
                         {"architecture",
                          {{"name", "unet"},
                           {"in_channels", info.unet.in_channels},
                           {"classes", info.unet.classes},
                           {"base_width", info.unet.base_width}}},
                         {"preprocessing", info.preprocessing},
                         {"height", info.height},
                         {"width", info.width},
                         {"details", info.details}};
  save_tensors(path, state_of(*unet), {{"cmunet", document.dump()}, {"format", "pt"}});
}

ModelInfo read_model_info(const SafetensorsFile& file) {
  const std::string origin = file.path().string();
  const Json document =
      parse_json(metadata_of(file, "cmunet", "a model is written by cmunet finetune or cmunet pretrain"), origin);
  CMUNET_CHECK(json_get<std::string>(document, "format", origin) == "cmunet-model", ErrorCode::kCorrupt,
               "[checkpoint] ", origin, " is no cmunet model");
  const int version = json_get<int>(document, "version", origin);
  CMUNET_CHECK(version <= kModelVersion, ErrorCode::kUnsupported, "[checkpoint] ", origin, " has version ", version,
               "; this program reads up to ", kModelVersion);
  const Json architecture = json_get<Json>(document, "architecture", origin);
  const auto name = json_get<std::string>(architecture, "name", origin);
  CMUNET_CHECK(name == "unet", ErrorCode::kUnsupported, "[checkpoint] ", origin, " has architecture '", name,
               "'; this program knows 'unet'");
  ModelInfo info;
  info.kind = json_get<std::string>(document, "kind", origin);
  info.method = json_get<std::string>(document, "method", origin);
  info.unet = {json_get<std::int64_t>(architecture, "in_channels", origin),
               json_get<std::int64_t>(architecture, "classes", origin),
               json_get<std::int64_t>(architecture, "base_width", origin)};
  info.preprocessing = json_get<Json>(document, "preprocessing", origin);
  info.height = json_get<int>(document, "height", origin);
  info.width = json_get<int>(document, "width", origin);
  info.details = json_get<Json>(document, "details", origin);
  return info;
}

fs::path find_model_file(const fs::path& path) {
  if (fs::is_directory(path)) {
    for (const char* name : {"best.safetensors", "last.safetensors"}) {
      const fs::path candidate = path / "checkpoints" / name;
      if (fs::exists(candidate)) return candidate;
    }
    throw Error(ErrorCode::kNotFound, concat("[checkpoint] folder ", path.string(), " holds no model"),
                "expected checkpoints/best.safetensors or checkpoints/last.safetensors in it");
  }
  if (!fs::exists(path)) throw Error(ErrorCode::kNotFound, concat("[checkpoint] ", path.string(), " does not exist"));
  return path;
}

Model load_model(const fs::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(find_model_file(path));
  Model model;
  model.info = read_model_info(file);
  model.unet = nn::UNet(model.info.unet);
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
  save_tensors(path, tensors, {{"cmunet_state", document.dump()}});
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
