// SPDX-License-Identifier: Apache-2.0
// DICOM unique identifiers that follow from what they name, so that the same work done twice makes the same object.
#pragma once

#include <string>
#include <string_view>

namespace cmunet::pacs {

/// True for 1 to 64 characters of digits and single dots, beginning and ending with a digit (DICOM PS3.5, 9.1).
/// Safe to use as a path component when true.
bool is_uid(std::string_view text);

/// The UID of what `role` (e.g. "seg", with the fingerprint of the model that makes it) makes of the object
/// `source_uid`: "2.25." and a 128-bit fingerprint of both as a UUID of version 8 (RFC 9562) in decimal. The same
/// arguments give the same UID on every machine. @throws Error kCorrupt when `source_uid` is no UID.
std::string derive_uid(std::string_view source_uid, std::string_view role);

}  // namespace cmunet::pacs
