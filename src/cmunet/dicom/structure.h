// SPDX-License-Identifier: Apache-2.0
// What a DICOM file may be made of, found out before a general parser sees it. Every function of this program that
// reads DICOM from outside (reading, anonymize, node, prepare, predict) calls this first, through `open_object` or by
// itself.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace cmunet::dicom {

/// How far a file is read. Attributes behind the pixel data (7FE0,0010) of a data set never are.
enum class Part {
  kHeader,  ///< up to the first attribute that is, or would stand behind, pixel data
  kWhole,
};

/// What more than these is refused. The defaults are an order of magnitude above what devices write, and keep the
/// memory of an opened object below 1 GiB.
struct StructureLimits {
  int max_depth = 32;                       ///< sequences within sequences; Enhanced XA has 5, reports have 12
  std::int64_t max_elements = 500'000;      ///< attributes, items and fragments; each takes some 200 bytes
  std::int64_t max_disorder = 1 << 27;      ///< steps to sort attributes that do not ascend
  std::int64_t max_held = 256LL << 20;      ///< bytes of values small enough to be read into memory with the header
  std::int64_t max_inflated = 512LL << 20;  ///< bytes of a deflated data set, which is held in memory whole, and
  std::int64_t free_inflated = 32LL << 20;  ///< beyond these
  std::int64_t max_inflation = 100;         ///< times the size of the file
};

/// Values of at most this many bytes are read into memory when a file is opened; longer ones stay in the file.
inline constexpr std::uint32_t kMaxHeldValue = 4096;

/// Walks through tags, value representations and lengths of the file in the way in which DCMTK will, without recursion
/// and in constant memory, and checks every length against the bytes that are there.
/// A file that ends within its pixel data passes, since its whole frames can be read; a deflated one does not.
/// @throws Error kCorrupt for bytes that are no data set; kUnsupported above a limit, or for an unknown transfer
/// syntax; kNotFound, kInvalidArgument (no file). Messages name attributes, never values.
void check_structure(const std::filesystem::path& file, Part part, const StructureLimits& limits = {});

/// Media Storage SOP Class UID (0002,0002): what an object is, also when the rest of it cannot be read. Empty when
/// there is no meta header that says so. @throws Error kIo.
std::string storage_class(const std::filesystem::path& file);

}  // namespace cmunet::dicom
