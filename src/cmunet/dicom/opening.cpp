// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/opening.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcistrmf.h>
#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dctk.h>

#include "cmunet/base/error.h"

namespace cmunet::dicom {
namespace {

// Of a value that is held in memory and whose bytes ended too early, DCMTK leaves the rest as the memory was.
void drop_what_is_half_read(DcmFileFormat& object, const std::filesystem::path& file) {
  DcmElement* element = nullptr;
  object.getDataset()->findAndGetElement(DCM_PixelData, element);
  auto* pixels = dynamic_cast<DcmPixelData*>(element);
  if (pixels == nullptr) return;
  if (pixels->getLengthField() != DCM_UndefinedLength) {
    CMUNET_CHECK(pixels->transferState() == ERW_ready, ErrorCode::kCorrupt, "[dicom] ", file.string(),
                 " is cut off within its pixels");
    return;
  }
  E_TransferSyntax syntax = EXS_Unknown;
  const DcmRepresentationParameter* parameter = nullptr;
  DcmPixelSequence* fragments = nullptr;
  pixels->getOriginalRepresentationKey(syntax, parameter);
  if (pixels->getEncapsulatedRepresentation(syntax, parameter, fragments).bad() || fragments == nullptr) return;
  DcmPixelItem* last = nullptr;
  const unsigned long count = fragments->card();
  if (count == 0 || fragments->getItem(last, count - 1).bad() || last->transferState() == ERW_ready) return;
  fragments->remove(last, count - 1);
  delete last;
}

}  // namespace

bool open_object(DcmFileFormat& object, const std::filesystem::path& file, std::vector<std::string>& oddities,
                 Part part) {
  check_structure(file, part);
  const DcmTagKey stop = part == Part::kHeader ? DCM_PixelData : DcmTagKey(0x7fe0, 0x0011);  // the first not read
  DcmInputFileStream in(file.c_str());
  object.transferInit();
  const OFCondition loaded = object.readUntilTag(in, EXS_Unknown, EGL_noChange, kMaxHeldValue, stop);
  const bool has_pixels = object.getDataset()->tagExists(DCM_PixelData);
  CMUNET_CHECK(loaded.good() || has_pixels, ErrorCode::kCorrupt, "[dicom] ", file.string(),
               " is not DICOM or is damaged: ", loaded.text());
  if (loaded.bad()) {
    drop_what_is_half_read(object, file);
    oddities.push_back(concat("the file is cut off or damaged within its pixel data (", loaded.text(), ")"));
  }
  object.transferEnd();
  return loaded.good();
}

}  // namespace cmunet::dicom
