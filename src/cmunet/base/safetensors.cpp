// SPDX-License-Identifier: Apache-2.0
#include "cmunet/base/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>

#include "cmunet/base/file.h"
#include "cmunet/base/hash.h"
#include "cmunet/base/json.h"

namespace cmunet {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the reference implementation

struct DTypeRow {
  DType dtype;
  std::string_view name;
  std::size_t size;
};
constexpr std::array<DTypeRow, 10> kDTypes{{{DType::kF64, "F64", 8},
                                            {DType::kF32, "F32", 4},
                                            {DType::kF16, "F16", 2},
                                            {DType::kBF16, "BF16", 2},
                                            {DType::kI64, "I64", 8},
                                            {DType::kI32, "I32", 4},
                                            {DType::kI16, "I16", 2},
                                            {DType::kI8, "I8", 1},
                                            {DType::kU8, "U8", 1},
                                            {DType::kBool, "BOOL", 1}}};

const DTypeRow& row_of(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype)]; }

[[noreturn]] void corrupt(const std::filesystem::path& path, const std::string& why) {
  throw Error(ErrorCode::kCorrupt, concat("[safetensors] ", path.string(), ": ", why),
              "the file is damaged, truncated or not a safetensors file");
}

// Number of bytes of a tensor, or nullopt when the product passes 2^63.
bool checked_byte_count(const std::vector<std::int64_t>& shape, std::size_t item, std::uint64_t& out) {
  std::uint64_t n = item;
  for (const std::int64_t dim : shape) {
    if (dim < 0) return false;
    if (__builtin_mul_overflow(n, static_cast<std::uint64_t>(dim), &n) || n >> 62 != 0) return false;
  }
  out = n;
  return true;
}

TensorRef parse_entry(const std::filesystem::path& path, const std::string& name, const Json& entry,
                      std::span<const std::byte> data) {
  const bool fields_ok = entry.is_object() && entry.contains("dtype") && entry["dtype"].is_string() &&
                         entry.contains("shape") && entry["shape"].is_array() && entry.contains("data_offsets") &&
                         entry["data_offsets"].is_array() && entry["data_offsets"].size() == 2;
  if (!fields_ok) corrupt(path, concat("tensor '", name, "' needs dtype, shape and two data_offsets"));
  TensorRef tensor;
  tensor.name = name;
  const std::string dtype = entry["dtype"].get<std::string>();
  const auto* row = std::find_if(kDTypes.begin(), kDTypes.end(), [&](const DTypeRow& r) { return r.name == dtype; });
  if (row == kDTypes.end()) corrupt(path, concat("tensor '", name, "' has unknown dtype '", dtype, "'"));
  tensor.dtype = row->dtype;
  for (const Json& dim : entry["shape"]) {
    if (!dim.is_number_unsigned()) corrupt(path, concat("tensor '", name, "' has a shape that is not whole numbers"));
    tensor.shape.push_back(dim.get<std::int64_t>());
  }
  for (const Json& offset : entry["data_offsets"]) {
    if (!offset.is_number_unsigned()) {
      corrupt(path, concat("tensor '", name, "' has offsets that are not whole numbers"));
    }
  }
  const auto begin = entry["data_offsets"][0].get<std::uint64_t>();
  const auto end = entry["data_offsets"][1].get<std::uint64_t>();
  std::uint64_t expected = 0;
  if (!checked_byte_count(tensor.shape, row->size, expected)) corrupt(path, concat("tensor '", name, "' is too large"));
  if (begin > end || end > data.size()) {
    corrupt(path, concat("tensor '", name, "' spans bytes ", begin, "-", end, " of ", data.size()));
  }
  if (end - begin != expected) {
    corrupt(path, concat("tensor '", name, "' has ", end - begin, " bytes; its shape needs ", expected));
  }
  tensor.bytes = data.subspan(begin, end - begin);
  return tensor;
}

void check_no_gaps(const std::filesystem::path& path, const std::vector<TensorRef>& tensors,
                   std::span<const std::byte> data) {
  std::vector<const TensorRef*> order;
  for (const TensorRef& t : tensors) order.push_back(&t);
  std::stable_sort(order.begin(), order.end(), [](const TensorRef* a, const TensorRef* b) {
    return a->bytes.data() < b->bytes.data() ||
           (a->bytes.data() == b->bytes.data() && a->bytes.size() < b->bytes.size());
  });
  const std::byte* next = data.data();
  for (const TensorRef* t : order) {
    if (t->bytes.data() != next) corrupt(path, concat("tensor '", t->name, "' overlaps another or leaves a gap"));
    next += t->bytes.size();
  }
  if (next != data.data() + data.size()) corrupt(path, "bytes after the last tensor");
}

// nlohmann-json keeps the last of two equal keys; the format forbids them, so they are found while parsing.
Json parse_header(const std::filesystem::path& path, std::string_view text) {
  std::vector<std::set<std::string>> keys;
  std::string duplicate;
  bool too_deep = false;
  const auto callback = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > 8) too_deep = true;
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end && !keys.empty()) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.empty() && !keys.back().insert(parsed.get<std::string>()).second) {
      duplicate = parsed.get<std::string>();
    }
    return !too_deep;
  };
  Json header;
  try {
    header = Json::parse(text, callback);
  } catch (const nlohmann::json::exception&) {
    corrupt(path, "the header is not valid JSON");
  }
  if (too_deep) corrupt(path, "the header is nested too deeply");
  if (!duplicate.empty()) corrupt(path, concat("tensor '", duplicate, "' appears twice"));
  if (!header.is_object()) corrupt(path, "the header is not a JSON object");
  return header;
}

}  // namespace

std::size_t size_of(DType dtype) { return row_of(dtype).size; }
std::string_view to_string(DType dtype) { return row_of(dtype).name; }

std::int64_t TensorRef::element_count() const { return static_cast<std::int64_t>(bytes.size() / size_of(dtype)); }

struct SafetensorsFile::Mapped {
  std::filesystem::path path;
  void* address = nullptr;
  std::size_t length = 0;
  std::map<std::string, std::string> metadata;
  std::vector<TensorRef> tensors;
  std::map<std::string, std::size_t, std::less<>> index;

  Mapped() = default;
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  ~Mapped() {
    if (address != nullptr) ::munmap(address, length);
  }
};

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  auto mapped = std::make_shared<Mapped>();
  mapped->path = path;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    throw Error(errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                concat("[safetensors] cannot open ", path.string(), ": ", std::strerror(errno)));
  }
  struct stat status {};
  const bool is_file = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  mapped->length = is_file ? static_cast<std::size_t>(status.st_size) : 0;
  if (mapped->length >= 8) {
    void* address = ::mmap(nullptr, mapped->length, PROT_READ, MAP_PRIVATE, fd, 0);
    if (address != MAP_FAILED) mapped->address = address;
  }
  ::close(fd);
  if (!is_file) corrupt(path, "not a regular file");
  if (mapped->length < 8) corrupt(path, concat("only ", mapped->length, " bytes; the header length alone takes 8"));
  CMUNET_CHECK(mapped->address != nullptr, ErrorCode::kIo, "[safetensors] cannot map ", path.string());

  const auto* bytes = static_cast<const std::byte*>(mapped->address);
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes, 8);
  if (header_bytes > kMaxHeaderBytes || header_bytes > mapped->length - 8) {
    corrupt(path, concat("header of ", header_bytes, " bytes in a file of ", mapped->length));
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes) + 8, header_bytes);
  const Json header = parse_header(path, text);
  const std::span<const std::byte> data(bytes + 8 + header_bytes, mapped->length - 8 - header_bytes);
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object()) corrupt(path, "__metadata__ is not an object");
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) corrupt(path, concat("metadata '", key, "' is not a string"));
        mapped->metadata[key] = value.get<std::string>();
      }
      continue;
    }
    mapped->index[name] = mapped->tensors.size();
    mapped->tensors.push_back(parse_entry(path, name, entry, data));
  }
  check_no_gaps(path, mapped->tensors, data);
  SafetensorsFile file;
  file.mapped_ = std::move(mapped);
  return file;
}

const std::map<std::string, std::string>& SafetensorsFile::metadata() const { return mapped_->metadata; }
const std::vector<TensorRef>& SafetensorsFile::tensors() const& { return mapped_->tensors; }

std::string SafetensorsFile::content_hash() const {
  Hasher hasher;
  for (const TensorRef& tensor : tensors()) {
    hasher.update(tensor.name);
    hasher.update(tensor.bytes);
  }
  return hasher.hex();
}

const std::filesystem::path& SafetensorsFile::path() const { return mapped_->path; }
bool SafetensorsFile::contains(std::string_view name) const {
  return mapped_->index.find(name) != mapped_->index.end();
}

const TensorRef& SafetensorsFile::at(std::string_view name) const {
  const auto found = mapped_->index.find(name);
  CMUNET_CHECK(found != mapped_->index.end(), ErrorCode::kCorrupt, "[safetensors] ", mapped_->path.string(),
               " has no tensor '", name, "'");
  return mapped_->tensors[found->second];
}

void write_safetensors(const std::filesystem::path& path, std::span<const TensorRef> tensors,
                       const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const TensorRef& t : tensors) {
    std::uint64_t expected = 0;
    CMUNET_CHECK(checked_byte_count(t.shape, size_of(t.dtype), expected) && expected == t.bytes.size(),
                 ErrorCode::kInvalidArgument, "[safetensors] tensor '", t.name, "' has ", t.bytes.size(),
                 " bytes; its shape needs ", expected);
    CMUNET_CHECK(t.name != "__metadata__" && !header.contains(t.name), ErrorCode::kInvalidArgument,
                 "[safetensors] tensor '", t.name, "' is given twice or has the reserved name");
    header[t.name] = {{"dtype", to_string(t.dtype)}, {"shape", t.shape}, {"data_offsets", {offset, offset + expected}}};
    offset += expected;
  }
  std::string text = header.dump();
  text.append((64 - (text.size() + 8) % 64) % 64, ' ');
  const std::uint64_t header_bytes = text.size();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&header_bytes, 1)));
  file.write(text);
  for (const TensorRef& t : tensors) file.write(t.bytes);
  file.commit();
}

}  // namespace cmunet
