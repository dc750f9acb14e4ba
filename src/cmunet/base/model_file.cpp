// SPDX-License-Identifier: Apache-2.0
#include "cmunet/base/model_file.h"

#include "cmunet/base/error.h"
#include "cmunet/base/version.h"

namespace cmunet {
namespace fs = std::filesystem;

namespace {

constexpr int kModelVersion = 1;

}  // namespace

std::string model_metadata(const ModelInfo& info) {
  const Json document = {{"format", "cmunet-model"},
                         {"version", kModelVersion},
                         {"created_by", concat("cmunet ", kVersion)},
                         {"disclaimer", kDisclaimer},
                         {"kind", info.kind},
                         {"method", info.method},
                         {"architecture",
                          {{"name", "unet"},
                           {"in_channels", info.in_channels},
                           {"classes", info.classes},
                           {"base_width", info.base_width}}},
                         {"preprocessing", info.preprocessing},
                         {"height", info.height},
                         {"width", info.width},
                         {"details", info.details}};
  // Names of files in the details need not be UTF-8.
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

ModelInfo read_model_info(const SafetensorsFile& file) {
  const std::string origin = file.path().string();
  const auto found = file.metadata().find("cmunet");
  if (found == file.metadata().end()) {
    throw Error(ErrorCode::kCorrupt, concat("[model] ", origin, " has no 'cmunet' metadata"),
                "a model is written by cmunet finetune or cmunet pretrain");
  }
  const Json document = parse_json(found->second, origin);
  CMUNET_CHECK(json_get<std::string>(document, "format", origin) == "cmunet-model", ErrorCode::kCorrupt, "[model] ",
               origin, " is no cmunet model");
  const int version = json_get<int>(document, "version", origin);
  CMUNET_CHECK(version <= kModelVersion, ErrorCode::kUnsupported, "[model] ", origin, " has version ", version,
               "; this program reads up to ", kModelVersion);
  const Json architecture = json_get<Json>(document, "architecture", origin);
  const auto name = json_get<std::string>(architecture, "name", origin);
  CMUNET_CHECK(name == "unet", ErrorCode::kUnsupported, "[model] ", origin, " has architecture '", name,
               "'; this program knows 'unet'");
  ModelInfo info;
  info.kind = json_get<std::string>(document, "kind", origin);
  info.method = json_get<std::string>(document, "method", origin);
  info.in_channels = json_get<std::int64_t>(architecture, "in_channels", origin);
  info.classes = json_get<std::int64_t>(architecture, "classes", origin);
  info.base_width = json_get<std::int64_t>(architecture, "base_width", origin);
  info.preprocessing = json_get<Json>(document, "preprocessing", origin);
  info.height = json_get<int>(document, "height", origin);
  info.width = json_get<int>(document, "width", origin);
  info.details = json_get<Json>(document, "details", origin);
  return info;
}

fs::path find_model_file(const fs::path& path) {
  if (fs::is_directory(path)) {
    for (const char* name : {"best.safetensors", "last.safetensors"}) {
      fs::path candidate = path / "checkpoints" / name;
      if (fs::exists(candidate)) return candidate;
    }
    throw Error(ErrorCode::kNotFound, concat("[model] folder ", path.string(), " holds no model"),
                "expected checkpoints/best.safetensors or checkpoints/last.safetensors in it");
  }
  if (!fs::exists(path)) throw Error(ErrorCode::kNotFound, concat("[model] ", path.string(), " does not exist"));
  return path;
}

}  // namespace cmunet
