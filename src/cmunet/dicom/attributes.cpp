// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/attributes.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "cmunet/base/error.h"
#include "cmunet/base/number.h"

namespace cmunet::dicom {
namespace {

constexpr Uint32 kMaxValueBytes = 1 << 20;

DcmElement* element_of(DcmItem& item, const DcmTagKey& tag) {
  DcmElement* element = nullptr;
  if (item.findAndGetElement(tag, element).bad() || element == nullptr || !element->isLeaf() ||
      element->getLength() > kMaxValueBytes) {
    return nullptr;
  }
  return element;
}

std::string_view trimmed(std::string_view value) {
  constexpr std::string_view kPadding(" \0\t\r\n", 5);
  const std::size_t begin = value.find_first_not_of(kPadding);
  if (begin == std::string_view::npos) return {};
  return value.substr(begin, value.find_last_not_of(kPadding) - begin + 1);
}

// Length of the character of UTF-8 (RFC 3629) at `at`; 0 when none that is well-formed stands there.
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(at);
  if (lead < 0x80) return 1;
  const std::size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (length == 0 || at + length > text.size()) return 0;
  for (std::size_t i = at + 1; i < at + length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return 0;
  }
  const unsigned second = byte(at + 1);
  const bool is_overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool is_no_character = (lead == 0xED && second > 0x9F) || (lead == 0xF4 && second > 0x8F);
  return is_overlong || is_no_character ? 0 : length;
}

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

}  // namespace

std::string as_utf8(const std::string& text) {
  if (is_utf8(text)) return text;
  std::string converted;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) converted += static_cast<char>(0xC0U | byte >> 6);
    converted += byte < 0x80 ? c : static_cast<char>(0x80U | (byte & 0x3FU));
  }
  return converted;
}

std::string text(DcmItem& item, const DcmTagKey& tag) {
  DcmElement* element = element_of(item, tag);
  OFString value;
  if (element == nullptr || element->getOFStringArray(value).bad()) return {};
  return std::string(trimmed(std::string_view(value.c_str(), value.size())));
}

std::vector<double> numbers(DcmItem& item, const DcmTagKey& tag) {
  const std::string value = text(item, tag);
  std::vector<double> result;
  for (std::size_t at = 0; at <= value.size() && !value.empty();) {
    const std::size_t end = std::min(value.find('\\', at), value.size());
    std::string_view part = trimmed(std::string_view(value).substr(at, end - at));
    if (part.starts_with('+')) part.remove_prefix(1);
    const std::optional<double> parsed = parse_number<double>(part);
    if (!parsed || !std::isfinite(*parsed)) return {};
    result.push_back(*parsed);
    at = end + 1;
  }
  return result;
}

std::optional<double> number(DcmItem& item, const DcmTagKey& tag) {
  const std::vector<double> all = numbers(item, tag);
  return all.empty() ? std::nullopt : std::optional(all.front());
}

std::optional<int> integer(DcmItem& item, const DcmTagKey& tag, int low, int high) {
  const std::string value = text(item, tag);
  if (value.empty()) return std::nullopt;
  const std::optional<double> parsed = number(item, tag);
  const bool fits = parsed && *parsed >= low && *parsed <= high && *parsed == std::floor(*parsed);
  // Other values than numbers are not shown: messages go into logs, and nobody knows what else a device writes there.
  CMUNET_CHECK(fits, ErrorCode::kCorrupt, "[dicom] ", DcmTag(tag).getTagName(), " is ",
               parsed ? concat(*parsed) : "no number", "; expected a whole number from ", low, " to ", high);
  return static_cast<int>(*parsed);
}

std::vector<std::uint16_t> words(DcmItem& item, const DcmTagKey& tag) {
  DcmElement* element = element_of(item, tag);
  if (element == nullptr) return {};
  const std::size_t count = element->getLength() / sizeof(Uint16);
  Uint16* unsigned_words = nullptr;
  if (element->getUint16Array(unsigned_words).good() && unsigned_words != nullptr) {
    return {unsigned_words, unsigned_words + count};
  }
  Sint16* signed_words = nullptr;
  if (element->getSint16Array(signed_words).good() && signed_words != nullptr) {
    return {signed_words, signed_words + count};
  }
  return {};
}

DcmItem* item_of(DcmItem& item, const DcmTagKey& sequence, unsigned long index) {
  DcmSequenceOfItems* items = nullptr;
  if (item.findAndGetSequence(sequence, items).bad() || items == nullptr || index >= items->card()) return nullptr;
  return items->getItem(index);
}

DcmItem* functional_group(DcmItem& dataset, int frame, const DcmTagKey& macro) {
  if (DcmItem* groups = item_of(dataset, DCM_PerFrameFunctionalGroupsSequence, static_cast<unsigned long>(frame))) {
    if (DcmItem* group = item_of(*groups, macro)) return group;
  }
  DcmItem* shared = item_of(dataset, DCM_SharedFunctionalGroupsSequence);
  return shared == nullptr ? nullptr : item_of(*shared, macro);
}

DcmItem& owner_of(DcmItem& dataset, int frame, const DcmTagKey& macro, const DcmTagKey& tag) {
  DcmItem* group = functional_group(dataset, frame, macro);
  return group != nullptr && group->tagExists(tag) ? *group : dataset;
}

std::string modality_name(const std::string& modality) {
  constexpr std::array<std::string_view, 32> kTerms{
      "CR", "CT", "DOC", "DX", "ECG", "ES", "FID", "GM", "HD", "IO",  "IVOCT", "IVUS",     "KO", "MG", "MR", "NM",
      "OP", "OT", "PR",  "PT", "PX",  "RF", "REG", "RG", "SC", "SEG", "SM",    "RTSTRUCT", "SR", "US", "XA", "XC"};
  return std::ranges::find(kTerms, modality) != kTerms.end() ? modality : "none that is known";
}

bool is_own_result(DcmItem& dataset) { return text(dataset, DCM_Manufacturer) == kManufacturer; }

}  // namespace cmunet::dicom
