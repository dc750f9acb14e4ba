// SPDX-License-Identifier: Apache-2.0
// Attributes of a DICOM data set as plain values: absent is absent, and a wrong VR or a malformed number counts as
// such.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

class DcmItem;
class DcmTagKey;

namespace cmunet::dicom {

/// The value as text without padding, with backslashes between several; empty when absent, empty or above 1 MiB.
std::string text(DcmItem& item, const DcmTagKey& tag);
/// Text as UTF-8: what is well-formed UTF-8 stays, anything else is read as Latin-1.
std::string as_utf8(const std::string& text);
/// The numbers of a value of any numeric or text VR. Empty when absent or when any of them is no finite number.
std::vector<double> numbers(DcmItem& item, const DcmTagKey& tag);
/// The first of them.
std::optional<double> number(DcmItem& item, const DcmTagKey& tag);
/// A whole number in [low, high]. @throws Error kCorrupt naming the attribute when it is there and is none.
std::optional<int> integer(DcmItem& item, const DcmTagKey& tag, int low, int high);
/// The 16-bit words of a value (US, SS or OW); empty when absent or above 1 MiB.
std::vector<std::uint16_t> words(DcmItem& item, const DcmTagKey& tag);

/// The item at `index` of a sequence; null when there is none.
DcmItem* item_of(DcmItem& item, const DcmTagKey& sequence, unsigned long index = 0);
/// The item of a functional group macro that holds for a frame: per-frame (5200,9230) before shared (5200,9229);
/// null when the object has none (a classic XA).
DcmItem* functional_group(DcmItem& dataset, int frame, const DcmTagKey& macro);
/// A modality as messages may show it: itself when it is a term of PS3.3 C.7.3.1.1.1, else "none that is known",
/// because other text may be anything, also a name.
std::string modality_name(const std::string& modality);
/// (0008,0070) of what this program makes.
inline constexpr const char* kManufacturer = "cmunet";
/// Was the object made by this program, as its results are?
bool is_own_result(DcmItem& dataset);
/// `tag`'s owner: the macro's item when it holds the attribute, else the data set.
DcmItem& owner_of(DcmItem& dataset, int frame, const DcmTagKey& macro, const DcmTagKey& tag);

}  // namespace cmunet::dicom
