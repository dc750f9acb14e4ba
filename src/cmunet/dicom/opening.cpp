// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/opening.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include "cmunet/base/error.h"

namespace cmunet::dicom {
void open_object(DcmFileFormat& object, const std::filesystem::path& file, std::vector<std::string>& oddities,
                 Part part) {
  check_structure(file, part);
  const DcmTagKey stop = part == Part::kHeader ? DCM_PixelData : DcmTagKey(0x7fe0, 0x0011);  // the first not read
  const OFCondition loaded =
      object.loadFileUntilTag(file.c_str(), EXS_Unknown, EGL_noChange, kMaxHeldValue, ERM_autoDetect, stop);
  if (loaded.good()) return;
  CMUNET_CHECK(object.getDataset()->tagExists(DCM_PixelData), ErrorCode::kCorrupt, "[dicom] ", file.string(),
               " is not DICOM or is damaged: ", loaded.text());
  oddities.push_back(concat("the file is cut off or damaged within its pixel data (", loaded.text(), ")"));
}

}  // namespace cmunet::dicom
