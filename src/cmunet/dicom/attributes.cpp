// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/attributes.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

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

}  // namespace

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

bool is_own_result(DcmItem& dataset) { return text(dataset, DCM_Manufacturer) == kManufacturer; }

}  // namespace cmunet::dicom
