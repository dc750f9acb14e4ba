// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/writing.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcostrmb.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmdata/dcwcache.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <random>
#include <vector>

#include "cmunet/base/file.h"
#include "cmunet/base/version.h"
#include "cmunet/dicom/attributes.h"

namespace cmunet::dicom {
namespace {

constexpr std::size_t kWriteBytes = 1 << 20;

void check_dcmtk(const OFCondition& condition, const DcmTagKey& tag) {
  CMUNET_CHECK(condition.good(), ErrorCode::kInternal, "[dicom] cannot set ", DcmTag(tag).getTagName(), ": ",
               condition.text());
}

// Decimal digits of a 128-bit number, given as four words with the highest first.
std::string decimal(std::array<std::uint32_t, 4> words) {
  std::string digits;
  while (std::any_of(words.begin(), words.end(), [](std::uint32_t w) { return w != 0; })) {
    std::uint64_t rest = 0;
    for (std::uint32_t& word : words) {
      const std::uint64_t value = (rest << 32) | word;
      word = static_cast<std::uint32_t>(value / 10);
      rest = value % 10;
    }
    digits.insert(digits.begin(), static_cast<char>('0' + rest));
  }
  return digits;
}

struct Moment {
  std::string date, time;  // YYYYMMDD, HHMMSS
};

// One offset (±HHMM) holds for all times of an object, so ours follow the source's; without one they are local.
Moment now_at(const std::string& utc_offset) {
  std::time_t now = std::time(nullptr);
  std::tm parts{};
  if (utc_offset.empty()) {
    ::localtime_r(&now, &parts);
  } else {
    const int minutes = 60 * std::stoi(utc_offset.substr(1, 2)) + std::stoi(utc_offset.substr(3, 2));
    now += (utc_offset.front() == '-' ? -60 : 60) * minutes;
    ::gmtime_r(&now, &parts);
  }
  const auto formatted = [&](const char* format) {
    std::array<char, 32> text{};
    return std::string(text.data(), std::strftime(text.data(), text.size(), format, &parts));
  };
  return {formatted("%Y%m%d"), formatted("%H%M%S")};
}

// The term for what a lossy transfer syntax does (PS3.3 C.7.6.1.1.5.1); empty for others.
std::string method_of_syntax(const std::string& transfer_syntax) {
  if (transfer_syntax == UID_JPEGProcess1TransferSyntax || transfer_syntax == UID_JPEGProcess2_4TransferSyntax) {
    return "ISO_10918_1";
  }
  if (transfer_syntax == UID_JPEGLSLossyTransferSyntax) return "ISO_14495_1";
  if (transfer_syntax == UID_JPEG2000TransferSyntax) return "ISO_15444_1";
  return "";
}

// Of two hospitals in one archive, one number may mean two patients.
void put_issuer(DcmItem& dataset, const Patient& patient) {
  if (!patient.issuer.empty()) put(dataset, DCM_IssuerOfPatientID, patient.issuer);
  const std::pair<DcmTagKey, const std::string*> qualifiers[] = {
      {DCM_UniversalEntityID, &patient.issuer_entity_id},
      {DCM_UniversalEntityIDType, &patient.issuer_entity_id_type},
      {DCM_IdentifierTypeCode, &patient.id_type}};
  DcmItem* item = nullptr;
  for (const auto& [tag, value] : qualifiers) {
    if (value->empty()) continue;
    if (item == nullptr) item = &add_item(dataset, DCM_IssuerOfPatientIDQualifiersSequence);
    put(*item, tag, *value);
  }
}

void put_patient_and_study(DcmItem& dataset, const ResultSource& source) {
  const Patient& patient = source.patient;
  put(dataset, DCM_PatientName, patient.name);
  put(dataset, DCM_PatientID, patient.id);
  put_issuer(dataset, patient);
  put(dataset, DCM_PatientBirthDate, patient.birth_date);
  put(dataset, DCM_PatientSex, patient.sex);
  put(dataset, DCM_StudyInstanceUID, source.header.source.study_uid);
  put(dataset, DCM_StudyDate, patient.study_date);
  put(dataset, DCM_StudyTime, patient.study_time);
  put(dataset, DCM_StudyID, patient.study_id);
  put(dataset, DCM_AccessionNumber, patient.accession_number);
  put(dataset, DCM_ReferringPhysicianName, patient.referring_physician);
}

}  // namespace

std::string new_uid() {
  std::random_device random;
  std::array<std::uint32_t, 4> words{random(), random(), random(), random()};
  words[1] = (words[1] & 0xFFFF0FFFU) | 0x00004000U;  // version 4
  words[2] = (words[2] & 0x3FFFFFFFU) | 0x80000000U;  // variant of RFC 9562
  return "2.25." + decimal(words);
}

void put(DcmItem& item, const DcmTagKey& tag, const std::string& value) {
  DcmElement* element = nullptr;  // takes text for binary VRs too, which the methods of DcmItem refuse
  check_dcmtk(DcmItem::newDicomElement(element, tag), tag);
  std::unique_ptr<DcmElement> owner(element);
  if (!value.empty()) check_dcmtk(element->putString(value.c_str()), tag);
  check_dcmtk(item.insert(element, OFTrue), tag);
  static_cast<void>(owner.release());
}

void put(DcmItem& item, const DcmTagKey& tag, int value) { put(item, tag, std::to_string(value)); }

std::string utf8_prefix(const std::string& text, std::size_t max_bytes) {
  std::size_t end = std::min(text.size(), max_bytes);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80) --end;
  return text.substr(0, end);
}

std::string decimal_string(double value) {
  std::array<char, 32> text{};
  return {text.data(), static_cast<std::size_t>(std::snprintf(text.data(), text.size(), "%.6g", value))};
}

DcmItem& add_item(DcmItem& item, const DcmTagKey& sequence) {
  DcmItem* added = nullptr;
  check_dcmtk(item.findOrCreateSequenceItem(sequence, added, -2), sequence);  // −2: a new one at the end
  return *added;
}

void put_empty_sequence(DcmItem& item, const DcmTagKey& sequence) {
  check_dcmtk(item.insertEmptyElement(sequence), sequence);
}

void put_code(DcmItem& item, const DcmTagKey& sequence, const Code& code) {
  DcmItem& entry = add_item(item, sequence);
  put(entry, DCM_CodeValue, std::string(code.value));
  put(entry, DCM_CodingSchemeDesignator, std::string(code.scheme));
  put(entry, DCM_CodeMeaning, std::string(code.meaning));
}

void put_reference(DcmItem& item, const Source& source) {
  put(item, DCM_ReferencedSOPClassUID, source.sop_class_uid);
  put(item, DCM_ReferencedSOPInstanceUID, source.sop_instance_uid);
}

void put_reference(DcmItem& item, const XaHeader& run, int frame) {
  put_reference(item, run.source);
  if (run.frames > 1) put(item, DCM_ReferencedFrameNumber, frame + 1);
}

void put_common_modules(DcmItem& dataset, const ResultSource& source, const ResultOptions& options,
                        const ObjectKind& kind) {
  const Source& origin = source.header.source;
  const bool has_uids = !origin.study_uid.empty() && !origin.series_uid.empty() && !origin.sop_class_uid.empty() &&
                        !origin.sop_instance_uid.empty();
  CMUNET_CHECK(has_uids, ErrorCode::kCorrupt,
               "[dicom] the run lacks its Study, Series or SOP Instance UID or its SOP Class UID; a result needs them "
               "to point back");
  put_patient_and_study(dataset, source);
  put(dataset, DCM_SOPClassUID, std::string(kind.sop_class_uid));
  put(dataset, DCM_SOPInstanceUID, options.instance_uid.empty() ? new_uid() : options.instance_uid);
  put(dataset, DCM_Modality, std::string(kind.modality));
  put(dataset, DCM_SeriesInstanceUID, options.series_uid.empty() ? new_uid() : options.series_uid);
  put(dataset, DCM_SeriesNumber, kind.series_number);
  put(dataset, DCM_SeriesDescription, std::string(kind.series_description));
  put(dataset, DCM_InstanceNumber, options.instance_number);
  put(dataset, DCM_Manufacturer, std::string(kManufacturer));
  put(dataset, DCM_ManufacturerModelName, std::string("cmunet"));
  put(dataset, DCM_DeviceSerialNumber, std::string("0"));
  put(dataset, DCM_SoftwareVersions, std::string(kVersion));
  const Moment now = now_at(source.header.utc_offset);
  if (!source.header.utc_offset.empty()) put(dataset, DCM_TimezoneOffsetFromUTC, source.header.utc_offset);
  for (const DcmTagKey& date : {DCM_SeriesDate, DCM_ContentDate, DCM_InstanceCreationDate}) {
    put(dataset, date, now.date);
  }
  for (const DcmTagKey& time : {DCM_SeriesTime, DCM_ContentTime, DCM_InstanceCreationTime}) {
    put(dataset, time, now.time);
  }
}

void put_lossy_compression(DcmItem& dataset, const XaHeader& header) {
  put(dataset, DCM_LossyImageCompression, std::string(header.lossy ? "01" : "00"));
  if (!header.lossy) return;
  const std::string method =
      header.lossy_method.empty() ? method_of_syntax(header.source.transfer_syntax_uid) : header.lossy_method;
  if (!header.lossy_ratio.empty()) put(dataset, DCM_LossyImageCompressionRatio, header.lossy_ratio);
  if (!method.empty()) put(dataset, DCM_LossyImageCompressionMethod, method);
}

void put_pixel_aspect_ratio(DcmItem& dataset, const XaHeader& header) {
  constexpr int kParts = 1000;
  const auto rows = static_cast<int>(std::lround(kParts * header.pixel_aspect_ratio));
  if (rows != kParts) put(dataset, DCM_PixelAspectRatio, concat(rows, "\\", kParts));
}

void save_object(DcmFileFormat& file, const std::filesystem::path& path, bool keep_transfer_syntax) {
  const E_TransferSyntax syntax =
      keep_transfer_syntax ? file.getDataset()->getOriginalXfer() : EXS_LittleEndianExplicit;
  DcmDataset& dataset = *file.getDataset();
  if (!keep_transfer_syntax && dataset.containsExtendedCharacters()) {
    put(dataset, DCM_SpecificCharacterSet, std::string("ISO_IR 192"));
  }
  CMUNET_CHECK(file.validateMetaInfo(syntax).good(), ErrorCode::kInternal, "[dicom] the meta header is incomplete");
  AtomicFile out(path);
  std::vector<char> buffer(kWriteBytes);
  DcmOutputBufferStream stream(buffer.data(), static_cast<offile_off_t>(buffer.size()));
  DcmWriteCache cache;  // values that stayed in a file are copied from there piece by piece
  file.transferInit();
  const auto drain = [&] {
    void* bytes = nullptr;
    offile_off_t length = 0;
    stream.flushBuffer(bytes, length);
    out.write(std::string_view(static_cast<const char*>(bytes), static_cast<std::size_t>(length)));
  };
  OFCondition condition;
  do {
    condition = file.write(stream, syntax, EET_ExplicitLength, &cache);
    CMUNET_CHECK(condition.good() || condition == EC_StreamNotifyClient, ErrorCode::kInternal, "[dicom] cannot encode ",
                 path.filename().string(), ": ", condition.text());
    drain();
  } while (condition == EC_StreamNotifyClient);
  while (!stream.isFlushed()) {  // what a deflating stream still holds
    stream.flush();
    drain();
  }
  file.transferEnd();
  out.commit();
}

}  // namespace cmunet::dicom
