// SPDX-License-Identifier: Apache-2.0
// The safetensors format: 8-byte little-endian header length, a JSON header, then raw little-endian tensors.
// Used for checkpoints and dataset shards. Reading maps the file and trusts none of its bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cmunet {

enum class DType { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };

/// Bytes per element.
std::size_t size_of(DType dtype);
/// The format's own name, e.g. "F32".
std::string_view to_string(DType dtype);

/// A named tensor: row-major, contiguous. The bytes belong to somebody else (the mapped file, or the caller).
struct TensorRef {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;

  std::int64_t element_count() const;
  /// The elements as T. @throws Error kInvalidArgument when sizeof(T) is not the dtype's size; kUnsupported when the
  /// file did not align them for T (the format recommends alignment but does not demand it).
  template <typename T>
  std::span<const T> as() const;
};

/// A memory-mapped file; its tensors stay valid as long as any copy of this object lives. Copying is cheap.
class SafetensorsFile {
 public:
  /// @throws Error kNotFound; kCorrupt on a header above 100 MB, bad JSON, duplicate names, unknown dtype, negative
  /// shape, a size that does not match shape and dtype, offsets that overlap, leave gaps or pass the end of the file.
  static SafetensorsFile open(const std::filesystem::path& path);

  const std::map<std::string, std::string>& metadata() const;
  const std::vector<TensorRef>& tensors() const&;
  void tensors() const&& = delete;  // `for (… : SafetensorsFile::open(…).tensors())` would read an unmapped file
  bool contains(std::string_view name) const;
  /// @throws Error kCorrupt when there is no such tensor.
  const TensorRef& at(std::string_view name) const;
  const std::filesystem::path& path() const;
  /// Of the tensors' names and bytes, in order; not of the metadata. Reads the whole file.
  std::string content_hash() const;

 private:
  struct Mapped;
  std::shared_ptr<const Mapped> mapped_;
};

/// Writes tensors (in the given order) and string metadata atomically.
/// The data section starts at a multiple of 64 bytes, and every tensor at a multiple of its element size when
/// larger dtypes come first. @throws Error kInvalidArgument on duplicate names or sizes that do not match; kIo.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorRef> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace cmunet

#include "cmunet/base/error.h"

namespace cmunet {

template <typename T>
std::span<const T> TensorRef::as() const {
  CMUNET_CHECK(sizeof(T) == size_of(dtype), ErrorCode::kInvalidArgument, "[safetensors] tensor '", name, "' is ",
               to_string(dtype), "; asked for elements of ", sizeof(T), " bytes");
  CMUNET_CHECK(reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(T) == 0, ErrorCode::kUnsupported,
               "[safetensors] tensor '", name, "' does not start at a multiple of ", alignof(T), " bytes");
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

}  // namespace cmunet
