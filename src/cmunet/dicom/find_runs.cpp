// SPDX-License-Identifier: Apache-2.0
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <string_view>
#include <tuple>

#include "cmunet/dicom/attributes.h"
#include "cmunet/dicom/opening.h"
#include "cmunet/dicom/toolkit.h"
#include "cmunet/dicom/xa.h"

namespace cmunet::dicom {
namespace fs = std::filesystem;

namespace {

constexpr int kMaxFolderDepth = 32;
constexpr std::size_t kMaxFiles = 1'000'000;

bool is_run_class(std::string_view sop_class) {
  constexpr std::array<std::string_view, 9> kClasses{UID_XRayAngiographicImageStorage,
                                                     UID_EnhancedXAImageStorage,
                                                     UID_RETIRED_XRayAngiographicBiPlaneImageStorage,
                                                     UID_XRayRadiofluoroscopicImageStorage,
                                                     UID_EnhancedXRFImageStorage,
                                                     UID_SecondaryCaptureImageStorage,
                                                     UID_MultiframeGrayscaleByteSecondaryCaptureImageStorage,
                                                     UID_MultiframeGrayscaleWordSecondaryCaptureImageStorage,
                                                     UID_MultiframeTrueColorSecondaryCaptureImageStorage};
  return std::ranges::find(kClasses, sop_class) != kClasses.end();
}

struct Found {
  std::string study, series;
  double instance = 0;
  fs::path file;

  auto key() const { return std::tie(study, series, instance, file); }
};

bool opens(DcmFileFormat& object, const fs::path& file, Part part) {
  std::vector<std::string> oddities;
  try {
    open_object(object, file, oddities, part);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) throw;
    return false;
  }
  return true;
}

// Reads the header alone; nothing when the file is another object. A run that cannot be opened is found, too, so that
// who reads it says what is wrong.
std::optional<Found> look_at(const fs::path& file) {
  if (!is_dicom_file(file)) return std::nullopt;
  DcmFileFormat object;
  if (!opens(object, file, Part::kHeader)) {
    return is_run_class(storage_class(file)) ? std::optional(Found{{}, {}, 0, file}) : std::nullopt;
  }
  DcmDataset& dataset = *object.getDataset();
  if (!is_run_class(text(dataset, DCM_SOPClassUID)) || is_own_result(dataset)) return std::nullopt;
  return Found{text(dataset, DCM_StudyInstanceUID), text(dataset, DCM_SeriesInstanceUID),
               number(dataset, DCM_InstanceNumber).value_or(0), file};
}

std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  const auto options = fs::directory_options::skip_permission_denied;  // and links to folders are not followed
  for (auto it = fs::recursive_directory_iterator(folder, options); it != fs::recursive_directory_iterator(); ++it) {
    if (it.depth() >= kMaxFolderDepth) it.disable_recursion_pending();
    if (it->is_regular_file()) files.push_back(it->path());
    CMUNET_CHECK(files.size() <= kMaxFiles, ErrorCode::kUnsupported, "[dicom] more than ", kMaxFiles, " files below ",
                 folder.string());
  }
  return files;
}

// A file named by a DICOMDIR, which is upper case while the disk's names may be lower case; empty when it is not there
// or would lie outside `root`.
fs::path locate(const fs::path& root, std::string_view file_id) {
  fs::path at = root;
  for (std::size_t begin = 0; begin <= file_id.size();) {
    const std::size_t end = std::min(file_id.find('\\', begin), file_id.size());
    const std::string part(file_id.substr(begin, end - begin));
    begin = end + 1;
    if (part.empty() || part == "." || part == ".." || part.find('/') != std::string::npos) return {};
    std::string lower = part;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    at = fs::exists(at / part) ? at / part : at / lower;
  }
  return fs::is_regular_file(at) ? at : fs::path();
}

bool is_directory_object(DcmFileFormat& object) {
  return text(*object.getMetaInfo(), DCM_MediaStorageSOPClassUID) == UID_MediaStorageDirectoryStorage ||
         object.getDataset()->tagExists(DCM_DirectoryRecordSequence);
}

std::vector<fs::path> files_named_by(DcmFileFormat& directory, const fs::path& root) {
  std::vector<fs::path> files;
  DcmSequenceOfItems* records = nullptr;
  if (directory.getDataset()->findAndGetSequence(DCM_DirectoryRecordSequence, records).bad()) return files;
  for (DcmObject* object = records->nextInContainer(nullptr); object != nullptr;
       object = records->nextInContainer(object)) {
    auto* record = dynamic_cast<DcmItem*>(object);
    const std::string file_id = record == nullptr ? std::string() : text(*record, DCM_ReferencedFileID);
    if (file_id.empty()) continue;
    if (fs::path file = locate(root, file_id); !file.empty()) files.push_back(std::move(file));
  }
  return files;
}

}  // namespace

bool is_own_result(const fs::path& file) {
  DcmFileFormat object;
  return is_dicom_file(file) && opens(object, file, Part::kHeader) && is_own_result(*object.getDataset());
}

bool is_dicomdir(const fs::path& path) {
  std::string name = path.filename().string();
  for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name == "DICOMDIR" && !fs::is_directory(path);
}

bool is_dicom_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::array<unsigned char, 132> head{};
  in.read(reinterpret_cast<char*>(head.data()), head.size());
  const auto count = static_cast<std::size_t>(in.gcount());
  const auto is = [&](std::size_t at, std::string_view bytes) {
    return at + bytes.size() <= count && std::equal(bytes.begin(), bytes.end(), head.begin() + static_cast<long>(at));
  };
  using namespace std::string_view_literals;
  if (is(128, "DICM"sv)) return true;
  // Without preamble an object begins with an attribute of group 2 or 8, whose first elements have small numbers.
  const bool starts_with_group = is(0, "\x02\0"sv) || is(0, "\x08\0"sv) || is(0, "\0\x08"sv);
  if (!starts_with_group || count < 16) return false;
  const bool explicit_vr = std::isupper(head[4]) != 0 && std::isupper(head[5]) != 0;
  const bool small_implicit = head[6] == 0 && head[7] == 0 && head[5] < 4;
  return (head[3] == 0 || head[2] == 0) && (explicit_vr || small_implicit);
}

std::vector<fs::path> find_runs(const fs::path& folder_or_dicomdir) {
  start_toolkit();
  CMUNET_CHECK(fs::exists(folder_or_dicomdir), ErrorCode::kNotFound, "[dicom] ", folder_or_dicomdir.string(),
               " is not there");
  std::vector<fs::path> files;
  if (fs::is_directory(folder_or_dicomdir)) {
    files = files_below(folder_or_dicomdir);
  } else {
    DcmFileFormat object;
    const bool loaded = is_dicom_file(folder_or_dicomdir) && opens(object, folder_or_dicomdir, Part::kWhole);
    files = loaded && is_directory_object(object) ? files_named_by(object, folder_or_dicomdir.parent_path())
                                                  : std::vector{folder_or_dicomdir};
  }
  std::vector<Found> found;
  for (const fs::path& file : files) {
    if (auto run = look_at(file)) found.push_back(std::move(*run));
  }
  std::ranges::sort(found, {}, [](const Found& f) { return f.key(); });
  std::vector<fs::path> runs;
  for (const Found& f : found) {
    if (runs.empty() || runs.back() != f.file) runs.push_back(f.file);
  }
  return runs;
}

}  // namespace cmunet::dicom
