// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/opening.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include "cmunet/base/error.h"
#include "cmunet/dicom/toolkit.h"

namespace cmunet::dicom {
namespace {

constexpr Uint32 kMaxValueInMemory = 4096;  // bytes

}  // namespace

void open_object(DcmFileFormat& object, const std::filesystem::path& file, std::vector<std::string>& oddities) {
  start_toolkit();
  CMUNET_CHECK(std::filesystem::exists(file), ErrorCode::kNotFound, "[dicom] ", file.string(), " is not there");
  CMUNET_CHECK(std::filesystem::is_regular_file(file), ErrorCode::kInvalidArgument, "[dicom] ", file.string(),
               " is no file");
  const OFCondition loaded =
      object.loadFile(file.c_str(), EXS_Unknown, EGL_noChange, kMaxValueInMemory, ERM_autoDetect);
  if (loaded.good()) return;
  CMUNET_CHECK(object.getDataset()->tagExists(DCM_PixelData), ErrorCode::kCorrupt, "[dicom] ", file.string(),
               " is not DICOM or is damaged: ", loaded.text());
  oddities.push_back(concat("the file is cut off or damaged at its end (", loaded.text(), ")"));
}

}  // namespace cmunet::dicom
