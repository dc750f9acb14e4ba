// SPDX-License-Identifier: Apache-2.0
// Building blocks of the objects that this module writes: attributes, codes, the modules that all have, and saving.
#pragma once

#include <filesystem>
#include <string>

#include "cmunet/dicom/result_object.h"

class DcmFileFormat;
class DcmItem;
class DcmTagKey;

namespace cmunet::dicom {

/// A coded concept (PS3.3, 8.8): "113076", "DCM", "Segmentation".
struct Code {
  const char* value;
  const char* scheme;
  const char* meaning;
};

/// Sets an attribute from text, several values parted by backslashes; an empty text leaves it present without a value.
/// @throws Error kInternal when the attribute does not take it.
void put(DcmItem& item, const DcmTagKey& tag, const std::string& value);
/// The same from a whole number.
void put(DcmItem& item, const DcmTagKey& tag, int value);
/// The beginning of a text of UTF-8, at most `max_bytes` long and without a part of a character.
std::string utf8_prefix(const std::string& text, std::size_t max_bytes);
/// A decimal string (VR DS) of six significant digits: no measurement has more.
std::string decimal_string(double value);

/// Appends an item to a sequence, which is created when it is not there.
DcmItem& add_item(DcmItem& item, const DcmTagKey& sequence);
/// A sequence without items, as attributes of type 2 may be.
void put_empty_sequence(DcmItem& item, const DcmTagKey& sequence);
/// A sequence of one item that holds a code.
void put_code(DcmItem& item, const DcmTagKey& sequence, const Code& code);
/// Referenced SOP Class and Instance UID of the run.
void put_reference(DcmItem& item, const Source& source);
/// The same, and of a run of several frames also the frame, which DICOM counts from 1; of a single one it has no place
/// there (PS3.3, 10.3).
void put_reference(DcmItem& item, const XaHeader& run, int frame);

/// What kind of object a data set is to become.
struct ObjectKind {
  const char* sop_class_uid;
  const char* modality;
  int series_number;
  const char* series_description;
};

/// The modules Patient, General Study, General Series, (Enhanced) General Equipment and SOP Common, and the date and
/// time of the content, in the source's time zone when it names one. Texts are taken to be UTF-8. @throws Error
/// kCorrupt when the run has no UIDs to point back to.
void put_common_modules(DcmItem& dataset, const ResultSource& source, const ResultOptions& options,
                        const ObjectKind& kind);
/// Lossy Image Compression with its method and ratio, as far as they are known: what the source lost, what is derived
/// from it lacks too.
void put_lossy_compression(DcmItem& dataset, const XaHeader& header);
/// Pixel Aspect Ratio of pixels that are not square, in thousandths; for objects that hold no spacing.
void put_pixel_aspect_ratio(DcmItem& dataset, const XaHeader& header);

/// Writes explicit VR little endian and says that texts are UTF-8 where it matters, or keeps the syntax in which the
/// object was read, and its character set: temporary name, flush, rename.
/// @throws Error kIo.
void save_object(DcmFileFormat& file, const std::filesystem::path& path, bool keep_transfer_syntax = false);

}  // namespace cmunet::dicom
