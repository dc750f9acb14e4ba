// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dataset/store.h"

#include <algorithm>
#include <map>
#include <set>

#include "cmunet/base/error.h"
#include "cmunet/base/hash.h"
#include "cmunet/base/random.h"
#include "cmunet/base/safetensors.h"
#include "cmunet/base/version.h"

namespace cmunet::dataset {
namespace fs = std::filesystem;

namespace {

constexpr int kFormatVersion = 1;
constexpr std::size_t kShardImages = 256;
constexpr std::array<std::pair<std::string_view, Split>, 4> kSplitNames{
    {{"pretrain", Split::kPretrain}, {"train", Split::kTrain}, {"val", Split::kVal}, {"test", Split::kTest}}};

std::string shard_name(const char* kind, std::size_t shard) {
  std::string number = std::to_string(shard);
  number.insert(0, number.size() < 5 ? 5 - number.size() : 0, '0');
  return concat(kind, "-", number, ".safetensors");
}

std::string hash_of(std::span<const float> image, std::span<const std::uint8_t> mask) {
  Hasher hasher;
  hasher.update(std::as_bytes(image));
  hasher.update(std::as_bytes(mask));
  return hasher.hex();
}

Json to_json(const Record& record, std::size_t index) {
  Json row = {{"id", record.id},
              {"group", record.group},
              {"source", record.source},
              {"source_height", record.source_height},
              {"source_width", record.source_width},
              {"grid_map", record.grid_map},
              {"spacing_mm", nullptr},
              {"split", to_string(record.split)},
              {"fold", record.fold},
              {"has_mask", record.has_mask},
              {"shard", index / kShardImages},
              {"row", index % kShardImages},
              {"hash", record.hash}};
  if (record.spacing_mm) row["spacing_mm"] = {record.spacing_mm->row_mm, record.spacing_mm->col_mm};
  return row;
}

Record record_from_json(const Json& row, const std::string& origin) {
  Record record;
  record.id = json_get<std::string>(row, "id", origin);
  record.group = json_get<std::string>(row, "group", origin);
  record.source = json_get<std::string>(row, "source", origin);
  record.source_height = json_get<int>(row, "source_height", origin);
  record.source_width = json_get<int>(row, "source_width", origin);
  record.grid_map = row.value("grid_map", Json());
  if (row.contains("spacing_mm") && !row["spacing_mm"].is_null()) {
    const auto mm = json_get<std::vector<double>>(row, "spacing_mm", origin);
    CMUNET_CHECK(mm.size() == 2 && mm[0] > 0 && mm[1] > 0, ErrorCode::kCorrupt, "[store] ", origin, ": spacing of '",
                 record.id, "' is not two positive numbers");
    record.spacing_mm = image::Spacing{mm[0], mm[1]};
  }
  try {
    record.split = parse_split(json_get<std::string>(row, "split", origin));
  } catch (const Error& e) {
    throw Error(ErrorCode::kCorrupt, concat("[store] ", origin, ": ", e.what()));
  }
  record.fold = json_get<int>(row, "fold", origin);
  record.has_mask = json_get<bool>(row, "has_mask", origin);
  record.hash = json_get<std::string>(row, "hash", origin);
  return record;
}

}  // namespace

std::string_view to_string(Split split) {
  return std::ranges::find(kSplitNames, split, &std::pair<std::string_view, Split>::second)->first;
}

Split parse_split(std::string_view name) {
  const auto* row = std::ranges::find(kSplitNames, name, &std::pair<std::string_view, Split>::first);
  CMUNET_CHECK(row != kSplitNames.end(), ErrorCode::kInvalidArgument, "[split] '", name,
               "'; expected pretrain, train, val or test");
  return row->second;
}

struct Store::Contents {
  Json manifest;
  int height = 0, width = 0;
  std::vector<Record> records;
  std::vector<SafetensorsFile> image_shards, mask_shards;
  std::string content_hash;

  std::size_t pixels() const { return static_cast<std::size_t>(height) * static_cast<std::size_t>(width); }
};

namespace {

// A shard's single tensor, checked against what the manifest promises.
void check_shard(const SafetensorsFile& file, const char* name, DType dtype, const std::vector<std::int64_t>& shape) {
  const TensorRef& tensor = file.at(name);
  CMUNET_CHECK(tensor.dtype == dtype && tensor.shape == shape, ErrorCode::kCorrupt, "[store] ", file.path().string(),
               ": tensor '", name, "' does not have the size that the manifest says");
}

}  // namespace

Store Store::open(const fs::path& dir) {
  const fs::path manifest_path = dir / "manifest.json";
  if (!fs::exists(manifest_path)) {
    throw Error(ErrorCode::kNotFound, concat("[store] ", dir.string(), " is no store: it has no manifest.json"),
                "make one with cmunet prepare");
  }
  auto contents = std::make_shared<Contents>();
  const std::string origin = manifest_path.string();
  contents->manifest = load_json(manifest_path);
  const Json& manifest = contents->manifest;
  CMUNET_CHECK(json_get<std::string>(manifest, "format", origin) == "cmunet-store", ErrorCode::kCorrupt, "[store] ",
               origin, " is not the manifest of a cmunet store");
  const int version = json_get<int>(manifest, "version", origin);
  if (version > kFormatVersion) {
    throw Error(
        ErrorCode::kUnsupported,
        concat("[store] ", origin, " has format version ", version, "; this program reads up to ", kFormatVersion),
        "use a newer cmunet, or prepare the data again");
  }
  contents->height = json_get<int>(manifest, "height", origin);
  contents->width = json_get<int>(manifest, "width", origin);
  CMUNET_CHECK(contents->height > 0 && contents->width > 0 && contents->height <= 32768 && contents->width <= 32768,
               ErrorCode::kCorrupt, "[store] ", origin, ": size ", contents->height, "x", contents->width);
  contents->content_hash = json_get<std::string>(manifest, "content_hash", origin);
  for (const Json& row : json_get<Json>(manifest, "images", origin)) {
    contents->records.push_back(record_from_json(row, origin));
  }
  const std::size_t count = contents->records.size();
  for (std::size_t first = 0; first < count; first += kShardImages) {
    const std::size_t shard = first / kShardImages;
    const auto rows = static_cast<std::int64_t>(std::min(kShardImages, count - first));
    const std::int64_t h = contents->height, w = contents->width;
    contents->image_shards.push_back(SafetensorsFile::open(dir / shard_name("images", shard)));
    check_shard(contents->image_shards.back(), "images", DType::kF32, {rows, 1, h, w});
    contents->mask_shards.push_back(SafetensorsFile::open(dir / shard_name("masks", shard)));
    check_shard(contents->mask_shards.back(), "masks", DType::kU8, {rows, h, w});
  }
  Store store;
  store.contents_ = std::move(contents);
  return store;
}

std::span<const Record> Store::records() const { return contents_->records; }
int Store::height() const { return contents_->height; }
int Store::width() const { return contents_->width; }
const Json& Store::manifest() const { return contents_->manifest; }
std::string Store::content_hash() const { return contents_->content_hash; }

std::span<const float> Store::image(std::size_t index) const {
  CMUNET_CHECK(index < contents_->records.size(), ErrorCode::kInvalidArgument, "[store] image ", index, " of ",
               contents_->records.size());
  const auto all = contents_->image_shards[index / kShardImages].at("images").as<float>();
  return all.subspan(index % kShardImages * contents_->pixels(), contents_->pixels());
}

std::span<const std::uint8_t> Store::mask(std::size_t index) const {
  CMUNET_CHECK(index < contents_->records.size(), ErrorCode::kInvalidArgument, "[store] mask ", index, " of ",
               contents_->records.size());
  if (!contents_->records[index].has_mask) return {};
  const auto all = contents_->mask_shards[index / kShardImages].at("masks").as<std::uint8_t>();
  return all.subspan(index % kShardImages * contents_->pixels(), contents_->pixels());
}

void Store::verify() const {
  Hasher all;
  for (std::size_t i = 0; i < contents_->records.size(); ++i) {
    const std::string hash = hash_of(image(i), mask(i));
    CMUNET_CHECK(hash == contents_->records[i].hash, ErrorCode::kCorrupt, "[store] image '", contents_->records[i].id,
                 "' does not match its hash");
    all.update(hash);
  }
  CMUNET_CHECK(all.hex() == contents_->content_hash, ErrorCode::kCorrupt, "[store] the content hash does not match");
}

struct StoreWriter::Pending {
  fs::path dir;
  int height, width;
  std::vector<Record> records;
  std::set<std::string> ids;
  std::vector<float> images;
  std::vector<std::uint8_t> masks;
  Hasher content;

  std::size_t pixels() const { return static_cast<std::size_t>(height) * static_cast<std::size_t>(width); }

  void flush() {
    if (images.empty()) return;
    const std::size_t shard = (records.size() - 1) / kShardImages;
    const auto rows = static_cast<std::int64_t>(images.size() / pixels());
    const std::vector<TensorRef> image_refs{
        {"images", DType::kF32, {rows, 1, height, width}, std::as_bytes(std::span(images))}};
    const std::vector<TensorRef> mask_refs{
        {"masks", DType::kU8, {rows, height, width}, std::as_bytes(std::span(masks))}};
    const std::map<std::string, std::string> metadata{{"disclaimer", kDisclaimer}};
    write_safetensors(dir / shard_name("images", shard), image_refs, metadata);
    write_safetensors(dir / shard_name("masks", shard), mask_refs, metadata);
    images.clear();
    masks.clear();
  }
};

StoreWriter::StoreWriter(fs::path dir, int height, int width) : pending_(std::make_unique<Pending>()) {
  CMUNET_CHECK(height > 0 && width > 0, ErrorCode::kInvalidArgument, "[store] image size ", height, "x", width);
  // With --force an older manifest must not describe the new shards.
  fs::remove(dir / "manifest.json");
  pending_->dir = std::move(dir);
  pending_->height = height;
  pending_->width = width;
}
StoreWriter::~StoreWriter() = default;

void StoreWriter::add(Record record, const image::ImageF& image, const image::Mask& mask) {
  Pending& p = *pending_;
  const bool sizes_ok = image.height() == p.height && image.width() == p.width &&
                        (mask.empty() || (mask.height() == p.height && mask.width() == p.width));
  CMUNET_CHECK(sizes_ok, ErrorCode::kInvalidArgument, "[store] image '", record.id, "' is ", image.height(), "x",
               image.width(), " and its mask ", mask.height(), "x", mask.width(), "; the store holds ", p.height, "x",
               p.width);
  CMUNET_CHECK(std::ranges::all_of(mask, [](std::uint8_t v) { return v <= 1; }), ErrorCode::kInvalidArgument,
               "[store] the mask of '", record.id, "' has values other than 0 and 1");
  CMUNET_CHECK(p.ids.insert(record.id).second, ErrorCode::kInvalidArgument, "[store] two images are named '", record.id,
               "'");
  record.has_mask = !mask.empty();
  record.hash = hash_of({image.data(), image.size()}, {mask.data(), mask.size()});
  p.content.update(record.hash);
  p.records.push_back(std::move(record));
  p.images.insert(p.images.end(), image.begin(), image.end());
  p.masks.insert(p.masks.end(), mask.begin(), mask.end());
  p.masks.resize(p.images.size(), 0);  // a row of zeros keeps the shards aligned where there is no mask
  if (p.records.size() % kShardImages == 0) p.flush();
}

void StoreWriter::finish(const Json& details) {
  Pending& p = *pending_;
  CMUNET_CHECK(!p.records.empty(), ErrorCode::kInvalidArgument, "[store] there is no image to write");
  p.flush();
  Json manifest = {
      {"format", "cmunet-store"},       {"version", kFormatVersion}, {"created_by", concat("cmunet ", kVersion)},
      {"disclaimer", kDisclaimer},      {"height", p.height},        {"width", p.width},
      {"content_hash", p.content.hex()}};
  manifest.update(details);
  Json rows = Json::array();
  for (std::size_t i = 0; i < p.records.size(); ++i) rows.push_back(to_json(p.records[i], i));
  manifest["images"] = std::move(rows);
  save_json(p.dir / "manifest.json", manifest);
}

std::string identity_of(const Store& store) {
  Hasher splits;
  for (const Record& record : store.records()) {
    splits.update(concat(record.id, "\t", to_string(record.split), "\n"));
  }
  return store.content_hash() + "-" + splits.hex();
}

std::vector<std::size_t> label_subset(const Store& store, Split split, std::size_t n, std::uint64_t seed) {
  std::vector<std::size_t> labelled;
  for (std::size_t i = 0; i < store.records().size(); ++i) {
    if (store.records()[i].split == split && store.records()[i].has_mask) labelled.push_back(i);
  }
  CMUNET_CHECK(n <= labelled.size(), ErrorCode::kInvalidArgument, "[labels] ", n,
               " labelled images were asked for; the ", to_string(split), " split has ", labelled.size());
  std::vector<std::size_t> chosen;
  for (const std::int64_t position : Rng(seed).permutation(static_cast<std::int64_t>(labelled.size()))) {
    if (chosen.size() == n) break;
    chosen.push_back(labelled[static_cast<std::size_t>(position)]);
  }
  return chosen;
}

}  // namespace cmunet::dataset
