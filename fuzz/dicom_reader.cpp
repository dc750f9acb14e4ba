// SPDX-License-Identifier: Apache-2.0
#include "dicom_reader.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>
#include <sys/mman.h>
#include <unistd.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/dicom/deidentify.h"
#include "cmunet/dicom/opening.h"
#include "cmunet/dicom/segmentation_object.h"
#include "cmunet/dicom/structure.h"
#include "cmunet/dicom/xa.h"

namespace cmunet::fuzz {
namespace {

namespace fs = std::filesystem;

// A file without a place on the disk.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const std::uint8_t> bytes) : fd_(::memfd_create("input", MFD_CLOEXEC)) {
    const bool is_written = fd_ >= 0 && ::write(fd_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
    if (!is_written) throw std::logic_error("no memory for the input");
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  fs::path path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

void attempt(const std::function<void()>& reader) {
  try {
    reader();
  } catch (const Error& error) {
    const bool is_expected = error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kUnsupported;
    if (!is_expected) throw std::logic_error(concat("an error of kind ", to_string(error.code()), ": ", error.what()));
  }
}

struct Size {
  int depth = 0;
  std::int64_t elements = 0;
};

// Without recursion, for the case that the check has failed.
Size size_of(DcmItem& dataset) {
  Size size;
  std::vector<std::pair<DcmObject*, int>> open{{&dataset, 0}};
  while (!open.empty()) {
    const auto [object, depth] = open.back();
    open.pop_back();
    size.depth = std::max(size.depth, depth);
    for (DcmObject* child = object->nextInContainer(nullptr); child != nullptr;
         child = object->nextInContainer(child)) {
      ++size.elements;
      if (!child->isLeaf()) open.emplace_back(child, depth + (child->ident() == EVR_SQ ? 1 : 0));
    }
  }
  return size;
}

// What DCMTK made of the file is within what the walk before it has allowed: they read alike.
void check_size(const fs::path& file) {
  DcmFileFormat object;
  std::vector<std::string> oddities;
  dicom::open_object(object, file, oddities);
  const Size size = size_of(*object.getDataset());
  const dicom::StructureLimits limits;
  if (size.depth > limits.max_depth || size.elements > limits.max_elements) {
    throw std::logic_error(concat("a depth of ", size.depth, " and ", size.elements, " elements went through"));
  }
}

void read_run(const fs::path& file) {
  const dicom::XaRun run(file);
  const int frames = run.header().frames;
  for (const int f : {0, 1, frames - 1}) {
    if (f < frames) attempt([&] { run.frame(f); });
  }
}

}  // namespace

void read_dicom(std::span<const std::uint8_t> bytes) {
  static const ScratchFolder folder;
  const MemoryFile input(bytes);
  const fs::path file = input.path();
  attempt([&] { check_size(file); });
  attempt([&] { read_run(file); });
  attempt([&] { dicom::find_runs(file); });
  attempt([&] { dicom::read_segmentation(file); });
  attempt([&] {
    dicom::Deidentifier({dicom::Dates::kShifted, true}).copy(file, folder / "copy.dcm");
    check_size(folder / "copy.dcm");
  });
}

}  // namespace cmunet::fuzz
