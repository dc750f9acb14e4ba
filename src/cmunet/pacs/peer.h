// SPDX-License-Identifier: Apache-2.0
// Who talks to whom: application entities (AE) by title and address.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace cmunet::pacs {

/// A DICOM node that is called: "TITLE@host:port".
struct Peer {
  std::string ae_title;  ///< 1 to 16 printable characters, no backslash
  std::string host;      ///< name or IPv4 address
  int port = 0;
};

/// A DICOM node that may call: "TITLE@10.0.0.5" or, for all of a network, "TITLE@10.0.0.0/24" (IPv4).
struct AllowedPeer {
  std::string ae_title;
  std::uint32_t network = 0;  ///< host byte order
  std::uint32_t mask = 0xFFFFFFFF;
};

/// @throws Error kInvalidArgument unless `title` is 1 to 16 printable ASCII characters without backslash, not padded.
void check_ae_title(std::string_view title);
/// @throws Error kInvalidArgument.
Peer parse_peer(std::string_view text);
/// @throws Error kInvalidArgument.
AllowedPeer parse_allowed_peer(std::string_view text);
/// "a.b.c.d" in host byte order. @throws Error kInvalidArgument.
std::uint32_t parse_ipv4(const std::string& text);

/// Whether anybody may call from this address (host byte order); decided before a byte is read.
bool may_connect(std::span<const AllowedPeer> allowed, std::uint32_t address);
/// Whether the application of this title may call from this address.
bool may_send(std::span<const AllowedPeer> allowed, std::string_view ae_title, std::uint32_t address);

}  // namespace cmunet::pacs
