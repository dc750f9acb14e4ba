// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/session.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "cmunet/base/error.h"
#include "cmunet/base/hash.h"
#include "cmunet/nn/communicator.h"

namespace cmunet::train {

std::vector<std::size_t> indices_of(const dataset::Store& store, const std::string& splits) {
  std::vector<dataset::Split> wanted;
  std::istringstream words(splits);
  for (std::string word; std::getline(words, word, ',');) wanted.push_back(dataset::parse_split(word));
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < store.records().size(); ++i) {
    const auto split = store.records()[i].split;
    if (std::find(wanted.begin(), wanted.end(), split) != wanted.end()) indices.push_back(i);
  }
  return indices;
}

TrainingData load_training_data(const std::vector<std::filesystem::path>& stores, const std::string& splits,
                                at::Device device, at::ScalarType image_type) {
  CMUNET_CHECK(!stores.empty(), ErrorCode::kInvalidArgument, "[data] no store was given; expected --store DIR");
  TrainingData result;
  std::vector<at::Tensor> images;
  for (const auto& path : stores) {
    const dataset::Store store = dataset::Store::open(path);
    const Json preprocessing = store.manifest().value("preprocessing", Json());
    if (result.content_hashes.empty()) {
      result.preprocessing = preprocessing;
      result.height = store.height();
      result.width = store.width();
    }
    CMUNET_CHECK(store.height() == result.height && store.width() == result.width, ErrorCode::kInvalidArgument,
                 "[data] store ", path.string(), " holds ", store.height(), "x", store.width(), " images, the first ",
                 result.height, "x", result.width, "; all must agree");
    CMUNET_CHECK(preprocessing == result.preprocessing, ErrorCode::kInvalidArgument, "[data] store ", path.string(),
                 " was prepared with other options than the first; prepare both with one --config");
    result.content_hashes.push_back(store.content_hash());
    const augment::DeviceStore part = augment::to_device(store, indices_of(store, splits), device, image_type);
    if (part.ids.empty()) continue;
    images.push_back(part.images);
    result.data.ids.insert(result.data.ids.end(), part.ids.begin(), part.ids.end());
  }
  if (images.empty()) {
    throw Error(ErrorCode::kInvalidArgument, concat("[data] the stores hold no image in the splits '", splits, "'"),
                "cmunet info STORE shows what each split holds");
  }
  result.data.images = images.size() == 1 ? images[0] : torch::cat(images);
  return result;
}

void Means::add(const std::string& name, double value) {
  auto& [sum, count] = sums_[name];
  sum += value;
  ++count;
}

Json Means::to_json() const {
  Json json = Json::object();
  for (const auto& [name, entry] : sums_) json[name] = entry.first / static_cast<double>(entry.second);
  return json;
}

Json Means::state() const {
  Json json = Json::object();
  for (const auto& [name, entry] : sums_) json[name] = {entry.first, entry.second};
  return json;
}

void Means::set_state(const Json& state) {
  sums_.clear();
  for (const auto& [name, entry] : state.items()) {
    sums_[name] = {entry.at(0).get<double>(), entry.at(1).get<std::int64_t>()};
  }
}

Json state_json(const Position& position, const Means& means, std::int64_t optimizer_steps) {
  return {{"epoch", position.epoch},
          {"step_in_epoch", position.step_in_epoch},
          {"step", position.step},
          {"optimizer_steps", optimizer_steps},
          {"means", means.state()}};
}

NamedTensors state_of(const torch::nn::Module& module, const Optimizer& optimizer) {
  NamedTensors tensors = state_of(module);
  const NamedTensors moments = optimizer.state();
  tensors.insert(tensors.end(), moments.begin(), moments.end());
  return tensors;
}

void restore(const TrainingState& saved, Position& position, Means& means) {
  const std::string origin = saved.file.path().string();
  position = {json_get<std::int64_t>(saved.state, "epoch", origin),
              json_get<std::int64_t>(saved.state, "step_in_epoch", origin),
              json_get<std::int64_t>(saved.state, "step", origin)};
  means.set_state(json_get<Json>(saved.state, "means", origin));
}

std::string hash_of_ids(const std::vector<std::string>& ids) {
  Hasher hasher;
  for (const std::string& id : ids) {
    hasher.update(id);
    hasher.update("\n");
  }
  return hasher.hex();
}

void check_same_data(const TrainingState& saved, const Json& now) {
  const Json before = saved.state.value("data", Json::object());
  for (const auto& [name, value] : now.items()) {
    if (!before.contains(name) || before[name] == value) continue;
    throw Error(ErrorCode::kInvalidArgument,
                concat("[resume] the data differ in ", name, ": ", value.dump(), " but the run began with ",
                       before[name].dump()),
                "resume with the same stores and --labels, or start a new run in another folder");
  }
}

Rng rng_of_step(std::uint64_t seed, std::int64_t step) {
  return Rng(seed).fork(1).fork(static_cast<std::uint64_t>(step));
}

std::vector<std::int64_t> order_of_epoch(std::uint64_t seed, std::int64_t epoch, std::int64_t images) {
  return Rng(seed).fork(1000 + static_cast<std::uint64_t>(epoch)).permutation(images);
}

void check_shares(std::int64_t images, std::int64_t images_per_step, std::int64_t images_per_pass,
                  std::int64_t fewest) {
  for (const std::int64_t step : {images_per_step, images % images_per_step}) {
    for (const std::int64_t pass : {std::min(step, images_per_pass), step % images_per_pass}) {
      if (pass >= fewest) nn::share_of(pass);
    }
  }
}

void share_weights(const torch::nn::Module& module) {
  for (const auto& [name, tensor] : state_of(module)) nn::communicator().broadcast(tensor);
}

void check_agreement(const std::string& what, const std::string& text) {
  nn::Communicator& peers = nn::communicator();
  Hasher hasher;
  hasher.update(text);
  const std::string hash = hasher.hex();
  const at::Tensor mine = torch::tensor(std::vector<std::int64_t>(hash.begin(), hash.end()));
  const at::Tensor all = peers.gather(mine);
  for (int rank = 1; rank < peers.size(); ++rank) {
    CMUNET_CHECK(all[rank].equal(all[0]), ErrorCode::kInvalidArgument, "[processes] rank ", rank, " has other ", what,
                 " than rank 0; all must be started alike and see the same files");
  }
}

std::int64_t steps_per_epoch(std::int64_t images, std::int64_t images_per_step, std::int64_t fewest) {
  return images / images_per_step + (images % images_per_step >= fewest ? 1 : 0);
}

StepEvent make_event(const Position& position, std::int64_t epochs, std::int64_t steps, double loss, double lr,
                     const Throughput& throughput) {
  return {position.epoch + 1,
          epochs,
          position.step,
          steps,
          loss,
          lr,
          throughput.images_per_second(),
          throughput.data_share(),
          throughput.seconds_per_step() * static_cast<double>(steps - position.step)};
}

void add_pace(Json& row, double lr, const Throughput& throughput) {
  row["lr"] = lr;
  row["images_per_second"] = throughput.images_per_second();
  row["data_share"] = throughput.data_share();
  row["elapsed_s"] = throughput.elapsed_s();
}

image::ImageF picture_strip(const std::vector<at::Tensor>& rows) {
  std::vector<at::Tensor> strips;
  for (const at::Tensor& row : rows) {
    strips.push_back(torch::cat(row.detach().to(at::kCPU, at::kFloat).squeeze(1).unbind(0), 1));  // [H, n·W]
  }
  const at::Tensor grid = torch::cat(strips, 0).contiguous();
  image::ImageF strip(static_cast<int>(grid.size(0)), static_cast<int>(grid.size(1)));
  std::copy_n(grid.data_ptr<float>(), strip.size(), strip.data());
  return strip;
}

void use_channels_last(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  for (at::Tensor& parameter : module.parameters()) {
    if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(at::MemoryFormat::ChannelsLast));
  }
}

void check_finite(double loss, const Position& position, double lr, const std::vector<std::string>& ids) {
  if (std::isfinite(loss)) return;
  std::string list;
  for (std::size_t i = 0; i < ids.size() && i < 8; ++i) list += (i == 0 ? "" : ", ") + ids[i];
  if (ids.size() > 8) list += concat(" and ", ids.size() - 8, " more");
  throw Error(ErrorCode::kNumeric,
              concat("[train] the loss is ", loss, " at epoch ", position.epoch + 1, ", step ", position.step,
                     ", learning rate ", lr, ", images ", list),
              "lower the learning rate; the last checkpoint is kept");
}

}  // namespace cmunet::train
