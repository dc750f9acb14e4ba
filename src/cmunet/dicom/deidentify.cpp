// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/deidentify.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcfcache.h>
#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dctk.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <map>
#include <optional>
#include <random>
#include <string_view>

#include "cmunet/base/version.h"
#include "cmunet/dicom/attributes.h"
#include "cmunet/dicom/codestream_comments.h"
#include "cmunet/dicom/frames.h"
#include "cmunet/dicom/jpeg2000.h"
#include "cmunet/dicom/opening.h"
#include "cmunet/dicom/result_object.h"
#include "cmunet/dicom/toolkit.h"
#include "cmunet/dicom/writing.h"
#include "cmunet/dicom/xa_header.h"

namespace cmunet::dicom {
namespace fs = std::filesystem;

namespace {

// Of other groups nothing is kept: patient, study, visit, procedure, overlays, curves, signatures, private ones.
constexpr std::array<Uint16, 7> kKeptGroups{0x0008, 0x0018, 0x0020, 0x0028, 0x2050, 0x5200, 0x7fe0};

// Coding schemes whose meanings are published; those of local schemes may be anything.
constexpr std::array<std::string_view, 5> kPublicSchemes{"DCM", "SCT", "SRT", "SNM3", "UCUM"};

bool is_kept_sequence(const DcmTagKey& tag) {
  if (tag == DCM_ContributingEquipmentSequence || tag == DCM_UDISequence) return false;
  if (tag == DCM_TransducerIdentificationSequence) return false;
  return tag.getGroup() != 0x0008 || tag == DCM_ReferencedImageSequence || tag == DCM_SourceImageSequence ||
         tag == DCM_DerivationImageSequence || tag == DCM_DerivationCodeSequence ||
         tag == DCM_PurposeOfReferenceCodeSequence || tag == DCM_AnatomicRegionSequence ||
         tag == DCM_AnatomicRegionModifierSequence || tag == DCM_PrimaryAnatomicStructureSequence;
}

bool is_public_code(DcmItem& item) {
  return std::ranges::find(kPublicSchemes, text(item, DCM_CodingSchemeDesignator)) != kPublicSchemes.end();
}

bool consists_of(std::string_view value, std::string_view characters) {
  return value.find_first_not_of(characters) == std::string_view::npos;
}

bool is_enumerated(const std::string& value) { return consists_of(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _\\"); }

bool is_number(const std::string& value) { return consists_of(value, "0123456789+-.eE \\"); }

enum class Action { kRemove, kKeep, kReplaceUid, kShiftDate };

Action action_for_vr(DcmEVR vr, DcmItem& owner, const DcmTagKey& tag) {
  switch (vr) {
    case EVR_UI: return Action::kReplaceUid;
    case EVR_DA:
    case EVR_DT:
    case EVR_TM: return Action::kShiftDate;
    case EVR_SH:
    case EVR_LO: {
      const bool is_code = tag == DCM_CodeValue || tag == DCM_CodingSchemeDesignator || tag == DCM_CodeMeaning;
      return is_code && is_public_code(owner) ? Action::kKeep : Action::kRemove;
    }
    case EVR_CS: return is_enumerated(text(owner, tag)) ? Action::kKeep : Action::kRemove;
    case EVR_DS:
    case EVR_IS: return is_number(text(owner, tag)) ? Action::kKeep : Action::kRemove;
    case EVR_AT:
    case EVR_FL:
    case EVR_FD:
    case EVR_SL:
    case EVR_SS:
    case EVR_UL:
    case EVR_US:
    case EVR_OW:
    case EVR_xs:
    case EVR_lt: return Action::kKeep;
    default: return Action::kRemove;  // names, texts, ages, addresses, bytes, what is unknown
  }
}

Action action_for(DcmElement& element, DcmItem& owner, bool is_top) {
  const DcmTagKey& tag = element.getTag();
  if (std::ranges::find(kKeptGroups, tag.getGroup()) == kKeptGroups.end()) return Action::kRemove;
  if (tag.getGroup() == 0x7fe0) return is_top && tag == DCM_PixelData ? Action::kKeep : Action::kRemove;
  if (!element.isLeaf()) return is_kept_sequence(tag) ? Action::kKeep : Action::kRemove;
  // Both the file and the dictionary must agree that the value is harmless.
  const Action by_dictionary = action_for_vr(DcmTag(tag).getEVR(), owner, tag);
  const Action by_file = action_for_vr(element.ident(), owner, tag);
  return by_dictionary == by_file || by_file == Action::kKeep ? by_dictionary : Action::kRemove;
}

// A date or date and time moved by whole days; nothing when it is malformed.
std::optional<std::string> shifted_date(const std::string& value, int days) {
  constexpr std::string_view kDateTime = "0123456789.+-";
  int year = 0;
  unsigned month = 0, day = 0;
  const auto parse = [&](std::size_t at, std::size_t count, auto& number) {
    const char* end = value.data() + at + count;
    return std::from_chars(value.data() + at, end, number).ptr == end;
  };
  if (value.size() < 8 || !consists_of(value, kDateTime)) return std::nullopt;
  if (!parse(0, 4, year) || !parse(4, 2, month) || !parse(6, 2, day)) return std::nullopt;
  using namespace std::chrono;
  const year_month_day date{std::chrono::year{year}, std::chrono::month{month}, std::chrono::day{day}};
  if (!date.ok()) return std::nullopt;
  const year_month_day moved{sys_days{date} + std::chrono::days{days}};
  char text[32];
  std::snprintf(text, sizeof text, "%04d%02u%02u", int{moved.year()}, unsigned{moved.month()}, unsigned{moved.day()});
  return text + value.substr(8);
}

// Boxes around a code stream may hold any text, XML for example, and may come after it.
void refuse_wrapped(std::span<const std::uint8_t> head) {
  CMUNET_CHECK(!is_wrapped_jpeg2000(head), ErrorCode::kUnsupported,
               "[deidentify] a frame is wrapped into a JP2 file, whose boxes may say who the patient is; such runs are "
               "not copied");
}

int clear_frame_comments(DcmDataset& dataset) {
  DcmElement* element = nullptr;
  dataset.findAndGetElement(DCM_PixelData, element);
  auto* pixels = dynamic_cast<DcmPixelData*>(element);
  DcmPixelSequence* fragments = nullptr;
  E_TransferSyntax syntax = EXS_Unknown;
  const DcmRepresentationParameter* parameter = nullptr;
  if (pixels == nullptr) return 0;
  pixels->getOriginalRepresentationKey(syntax, parameter);
  if (!is_encapsulated(DcmXfer(syntax))) return 0;
  pixels->getEncapsulatedRepresentation(syntax, parameter, fragments);
  const bool is_jpeg2000 = syntax == EXS_JPEG2000LosslessOnly || syntax == EXS_JPEG2000;
  int cleared = 0;
  DcmFileCache cache;
  if (fragments == nullptr) return 0;
  for (DcmObject* object = fragments->nextInContainer(nullptr); object != nullptr;
       object = fragments->nextInContainer(object)) {
    auto* item = dynamic_cast<DcmPixelItem*>(object);
    if (item == nullptr) continue;
    // Only fragments that need it stay in memory.
    std::vector<std::uint8_t> copy(item->getLength());
    if (copy.empty()) continue;
    CMUNET_CHECK(item->getPartialValue(copy.data(), 0, item->getLength(), &cache).good(), ErrorCode::kIo,
                 "[deidentify] a frame cannot be read");
    if (is_jpeg2000) refuse_wrapped(copy);
    if (clear_comments(copy) == 0) continue;
    Uint8* bytes = nullptr;
    if (item->getUint8Array(bytes).good() && bytes != nullptr) cleared += clear_comments({bytes, item->getLength()});
  }
  return cleared;
}

// Pixels without what bits that they do not use, or bytes behind the last frame, hold: overlays were once kept there.
struct CleanCells {
  explicit CleanCells(const PixelFormat& format)
      : bytes_per_cell(static_cast<std::size_t>(format.bits_allocated) / 8),
        end(bytes_per_cell * static_cast<std::size_t>(format.samples) * static_cast<std::size_t>(format.frames) *
            static_cast<std::size_t>(format.height) * static_cast<std::size_t>(format.width)),
        bits(bytes_per_cell == 1 ? 0xffU : 0xffffU),
        used(((1U << format.bits_stored) - 1) << (format.high_bit + 1 - format.bits_stored)),
        sign(format.is_signed ? 1U << format.high_bit : 0) {}

  // Of all bytes that begin at `first` of the pixel data, little endian. False when nothing had to be changed.
  bool operator()(std::span<std::uint8_t> bytes, std::size_t first) const {
    bool is_changed = false;
    for (std::size_t i = 0; i + bytes_per_cell <= bytes.size(); i += bytes_per_cell) {
      const unsigned cell = bytes_per_cell == 1 ? bytes[i] : bytes[i] | unsigned{bytes[i + 1]} << 8U;
      unsigned clean = first + i < end ? cell & used : 0;
      if ((clean & sign) != 0) clean |= ~(2 * sign - 1);  // readers that know no unused bits expect the sign there
      bytes[i] = static_cast<std::uint8_t>(clean);
      if (bytes_per_cell == 2) bytes[i + 1] = static_cast<std::uint8_t>(clean >> 8U);
      is_changed = is_changed || cell != (clean & bits);
    }
    return is_changed;
  }
  std::size_t bytes_per_cell, end;
  unsigned bits, used, sign;  // of a cell: all, those of the value, its sign
};

// Only pixel data that need it are read into memory as a whole.
void clear_unused_bits(DcmDataset& dataset, const PixelFormat& format) {
  constexpr std::size_t kChunk = 1 << 20;
  DcmElement* element = nullptr;
  dataset.findAndGetElement(DCM_PixelData, element);
  if (element == nullptr || is_encapsulated(DcmXfer(dataset.getOriginalXfer()))) return;
  const CleanCells clean(format);
  const std::size_t length = element->getLength();
  if (clean.used == clean.bits && length <= clean.end) return;  // nothing is unused
  DcmFileCache cache;
  const auto read = [&](std::vector<std::uint8_t>& into, std::size_t at, std::size_t count) {
    CMUNET_CHECK(element
                     ->getPartialValue(into.data(), static_cast<Uint32>(at), static_cast<Uint32>(count), &cache,
                                       EBO_LittleEndian)
                     .good(),
                 ErrorCode::kIo, "[deidentify] the pixel data cannot be read");
  };
  std::vector<std::uint8_t> bytes(std::min(length, kChunk));
  bool is_clean = true;
  for (std::size_t at = 0; at < length && is_clean; at += kChunk) {
    const std::size_t count = std::min(length - at, kChunk);
    read(bytes, at, count);
    is_clean = !clean(std::span(bytes).first(count), at);
  }
  if (is_clean) return;
  bytes.resize(length);
  read(bytes, 0, length);
  clean(bytes, 0);
  OFCondition put;
  if (element->getTag().getEVR() == EVR_OW || format.bits_allocated == 16) {
    std::vector<Uint16> cells;
    cells.reserve(length / 2);
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
      cells.push_back(static_cast<Uint16>(bytes[i] | bytes[i + 1] << 8));
    }
    put = element->putUint16Array(cells.data(), static_cast<unsigned long>(cells.size()));
  } else {
    put = element->putUint8Array(bytes.data(), static_cast<unsigned long>(length));
  }
  CMUNET_CHECK(put.good(), ErrorCode::kInternal, "[deidentify] cannot set the pixel data: ", put.text());
}

// In compressed frames such an overlay would stay, as their pixels are copied as they are.
void refuse_compressed_overlay(DcmDataset& dataset) {
  if (!is_encapsulated(DcmXfer(dataset.getOriginalXfer()))) return;
  for (Uint16 group = 0x6000; group <= 0x60fe; group = static_cast<Uint16>(group + 2)) {
    const bool is_in_pixels = number(dataset, DcmTagKey(group, 0x0102)).value_or(0) > 0 ||
                              number(dataset, DcmTagKey(group, 0x0100)).value_or(1) > 1;
    if (!is_in_pixels || dataset.tagExists(DcmTagKey(group, 0x3000))) continue;
    throw Error(ErrorCode::kUnsupported,
                "[deidentify] an overlay lies in unused bits of compressed pixels, where it is not removed",
                "decompress the run first, with dcmdjpeg, dcmdjpls or dcmdrle (Debian: dcmtk), or for JPEG 2000 with "
                "gdcmconv --raw (Debian: libgdcm-tools)");
  }
}

}  // namespace

struct Deidentifier::Data {
  DeidentifyOptions options;
  std::map<std::string, std::string> uids;
  struct Alias {
    std::string name;
    int shift_days = 0;
  };
  std::map<std::string, Alias> patients;

  const Alias& alias_of(const Patient& patient, const Source& source);
  std::string new_uids_for(const std::string& value);
  void clean(DcmItem& item, bool is_top, const Alias& alias, DeidentifyReport& report);
  void mark(DcmDataset& dataset, const Alias& alias) const;
};

const Deidentifier::Data::Alias& Deidentifier::Data::alias_of(const Patient& patient, const Source& source) {
  // One number may mean two patients of two hospitals.
  std::string key = patient.id.empty() ? patient.name + "\n" + patient.birth_date
                                       : concat(patient.id, "\n", patient.issuer, "\n", patient.issuer_entity_id);
  if (patient.id.empty() && patient.name.empty()) key = source.study_uid;
  const auto [at, is_new] = patients.try_emplace(key);
  if (is_new) {
    std::random_device random;
    at->second = {concat("P", patients.size()), -static_cast<int>(365 + random() % 3650)};
  }
  return at->second;
}

std::string Deidentifier::Data::new_uids_for(const std::string& value) {
  std::string result;
  for (std::size_t at = 0; at <= value.size();) {
    const std::size_t end = std::min(value.find('\\', at), value.size());
    const std::string uid = value.substr(at, end - at);
    at = end + 1;
    if (!result.empty()) result += '\\';
    if (uid.starts_with("1.2.840.10008.") && consists_of(uid, "0123456789.")) {
      result += uid;  // of the standard: classes, transfer syntaxes
    } else {
      std::string& replacement = uids[uid];
      if (replacement.empty()) replacement = new_uid();
      result += replacement;
    }
  }
  return result;
}

void Deidentifier::Data::clean(DcmItem& item, bool is_top, const Alias& alias, DeidentifyReport& report) {
  std::vector<DcmTagKey> removed;
  for (DcmObject* object = item.nextInContainer(nullptr); object != nullptr; object = item.nextInContainer(object)) {
    auto& element = dynamic_cast<DcmElement&>(*object);
    const DcmTagKey tag = element.getTag();
    Action action = action_for(element, item, is_top);
    if (action == Action::kShiftDate) {
      action = Action::kRemove;
      const std::string value = text(item, tag);
      const std::optional<std::string> moved = element.ident() == EVR_TM
                                                   ? (is_number(value) ? std::optional(value) : std::nullopt)
                                                   : shifted_date(value, alias.shift_days);
      if (options.dates == Dates::kShifted && moved && element.putString(moved->c_str()).good()) action = Action::kKeep;
    } else if (action == Action::kReplaceUid) {
      const std::string value = text(item, tag);
      action =
          element.putString(value.empty() ? "" : new_uids_for(value).c_str()).good() ? Action::kKeep : Action::kRemove;
      ++report.replaced_uids;
    }
    if (action == Action::kRemove) {
      removed.push_back(tag);
    } else if (auto* sequence = dynamic_cast<DcmSequenceOfItems*>(&element)) {
      for (DcmObject* nested = sequence->nextInContainer(nullptr); nested != nullptr;
           nested = sequence->nextInContainer(nested)) {
        clean(dynamic_cast<DcmItem&>(*nested), false, alias, report);
      }
    }
  }
  for (const DcmTagKey& tag : removed) item.findAndDeleteElement(tag);
  report.removed_attributes += static_cast<int>(removed.size());
}

// What the standard wants to be present, and that this is a de-identified copy.
void Deidentifier::Data::mark(DcmDataset& dataset, const Alias& alias) const {
  for (const DcmTagKey& tag : {DCM_StudyDate, DCM_StudyTime, DCM_AccessionNumber, DCM_ReferringPhysicianName,
                               DCM_StudyID, DCM_PatientBirthDate, DCM_PatientSex, DCM_Manufacturer}) {
    if (!dataset.tagExists(tag)) put(dataset, tag, std::string());
  }
  put(dataset, DCM_PatientName, alias.name);
  put(dataset, DCM_PatientID, alias.name);
  put(dataset, DCM_PatientIdentityRemoved, std::string("YES"));
  put(dataset, DCM_DeidentificationMethod,
      concat("cmunet ", kVersion, "\\PS3.15 Basic Application Confidentiality Profile\\", kDisclaimer));
  const bool is_shifted = options.dates == Dates::kShifted;
  put(dataset, DCM_LongitudinalTemporalInformationModified, std::string(is_shifted ? "MODIFIED" : "REMOVED"));
  put_code(dataset, DCM_DeidentificationMethodCodeSequence,
           {"113100", "DCM", "Basic Application Confidentiality Profile"});
  if (is_shifted) {
    DcmItem& item = add_item(dataset, DCM_DeidentificationMethodCodeSequence);
    put(item, DCM_CodeValue, std::string("113107"));
    put(item, DCM_CodingSchemeDesignator, std::string("DCM"));
    put(item, DCM_CodeMeaning, std::string("Retain Longitudinal Temporal Information Modified Dates Option"));
  }
}

Deidentifier::Deidentifier(const DeidentifyOptions& options) : data_(std::make_unique<Data>()) {
  data_->options = options;
}

Deidentifier::~Deidentifier() = default;

DeidentifyReport Deidentifier::copy(const fs::path& from, const fs::path& to) {
  std::error_code ignored;
  CMUNET_CHECK(!fs::equivalent(from, to, ignored), ErrorCode::kInvalidArgument,
               "[deidentify] a run cannot be written over itself");
  DcmFileFormat source;
  std::vector<std::string> oddities;
  const bool is_whole = open_object(source, from, oddities);
  CMUNET_CHECK(is_whole, ErrorCode::kCorrupt, "[deidentify] ", oddities.front(), "; only whole objects are copied");
  PixelFormat format = read_pixel_format(*source.getDataset(), oddities);
  const FrameReader frames(*source.getDataset(), format, oddities);  // refuses what is no run that can be read
  const XaHeader header = read_header(*source.getDataset(), format);
  const std::string burned_in = text(*source.getDataset(), DCM_BurnedInAnnotation);
  if (burned_in == "YES" && !data_->options.allow_burned_in_text) {
    throw Error(ErrorCode::kUnsupported, "[deidentify] the header says that text is burned into the pixels",
                "look at the frames; --allow-burned-in writes them nevertheless");
  }
  refuse_compressed_overlay(*source.getDataset());
  const Data::Alias& alias = data_->alias_of(read_patient(*source.getDataset()), header.source);
  DeidentifyReport report;
  report.pseudonym = alias.name;
  report.may_have_text = burned_in != "NO";
  // A new file around the data set: preamble and meta header may name people and devices too.
  DcmFileFormat clean(source.getAndRemoveDataset(), OFFalse);
  data_->clean(*clean.getDataset(), true, alias, report);
  clear_unused_bits(*clean.getDataset(), format);
  report.cleared_comments = clear_frame_comments(*clean.getDataset());
  data_->mark(*clean.getDataset(), alias);
  save_object(clean, to, true);
  return report;
}

}  // namespace cmunet::dicom
