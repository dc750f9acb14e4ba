// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/writing.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcostrmb.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmdata/dcwcache.h>

#include <algorithm>
#include <array>
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

bool is_ascii(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::string clock_text(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), format, &local)};
}

void put_patient_and_study(DcmItem& dataset, const ResultSource& source) {
  const Patient& patient = source.patient;
  if (!is_ascii(patient.name + patient.id + patient.study_id + patient.referring_physician)) {
    put(dataset, DCM_SpecificCharacterSet, "ISO_IR 192");
  }
  put(dataset, DCM_PatientName, patient.name);
  put(dataset, DCM_PatientID, patient.id);
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

void put_reference(DcmItem& item, const Source& source, int frame) {
  put(item, DCM_ReferencedSOPClassUID, source.sop_class_uid);
  put(item, DCM_ReferencedSOPInstanceUID, source.sop_instance_uid);
  if (frame >= 0) put(item, DCM_ReferencedFrameNumber, frame + 1);
}

void put_common_modules(DcmItem& dataset, const ResultSource& source, const ResultOptions& options,
                        const ObjectKind& kind) {
  CMUNET_CHECK(!source.header.source.study_uid.empty() && !source.header.source.sop_instance_uid.empty(),
               ErrorCode::kCorrupt,
               "[dicom] the run has no Study or SOP Instance UID; a result needs both to point back");
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
  for (const DcmTagKey& date : {DCM_SeriesDate, DCM_ContentDate, DCM_InstanceCreationDate}) {
    put(dataset, date, clock_text("%Y%m%d"));
  }
  for (const DcmTagKey& time : {DCM_SeriesTime, DCM_ContentTime, DCM_InstanceCreationTime}) {
    put(dataset, time, clock_text("%H%M%S"));
  }
}

void put_lossy_compression(DcmItem& dataset, const XaHeader& header) {
  put(dataset, DCM_LossyImageCompression, std::string(header.lossy ? "01" : "00"));
}

void save_object(DcmFileFormat& file, const std::filesystem::path& path, bool keep_transfer_syntax) {
  const E_TransferSyntax syntax =
      keep_transfer_syntax ? file.getDataset()->getOriginalXfer() : EXS_LittleEndianExplicit;
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
