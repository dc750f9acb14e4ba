// SPDX-License-Identifier: Apache-2.0
#include "cmunet/pacs/peer.h"

#include <arpa/inet.h>

#include <algorithm>

#include "cmunet/base/error.h"
#include "cmunet/base/number.h"

namespace cmunet::pacs {
namespace {

int number_within(std::string_view text, int low, int high, std::string_view what) {
  const std::optional<int> value = parse_number<int>(text);
  CMUNET_CHECK(value && *value >= low && *value <= high, ErrorCode::kInvalidArgument, "[peer] ", what, " '", text,
               "'; expected ", low, " to ", high);
  return *value;
}

std::pair<std::string, std::string> split(std::string_view text, std::string_view expected) {
  const std::size_t at = text.rfind('@');
  CMUNET_CHECK(at != std::string_view::npos && at + 1 < text.size(), ErrorCode::kInvalidArgument, "[peer] '", text,
               "'; expected ", expected);
  check_ae_title(text.substr(0, at));
  return {std::string(text.substr(0, at)), std::string(text.substr(at + 1))};
}

}  // namespace

void check_ae_title(std::string_view title) {
  const bool printable =
      std::all_of(title.begin(), title.end(), [](char c) { return c >= ' ' && c <= '~' && c != '\\'; });
  CMUNET_CHECK(!title.empty() && title.size() <= 16 && printable && title.front() != ' ' && title.back() != ' ',
               ErrorCode::kInvalidArgument, "[peer] AE title '", title,
               "'; expected 1 to 16 printable characters without backslash");
}

std::uint32_t parse_ipv4(const std::string& text) {
  in_addr address{};
  CMUNET_CHECK(::inet_pton(AF_INET, text.c_str(), &address) == 1, ErrorCode::kInvalidArgument, "[peer] '", text,
               "'; expected an IPv4 address, e.g. 127.0.0.1");
  return ntohl(address.s_addr);
}

Peer parse_peer(std::string_view text) {
  auto [title, place] = split(text, "TITLE@host:port");
  const std::size_t colon = place.rfind(':');
  CMUNET_CHECK(colon != std::string::npos && colon > 0, ErrorCode::kInvalidArgument, "[peer] '", text,
               "'; expected TITLE@host:port");
  return {std::move(title), place.substr(0, colon), number_within(place.substr(colon + 1), 1, 65535, "port")};
}

AllowedPeer parse_allowed_peer(std::string_view text) {
  auto [title, place] = split(text, "TITLE@address or TITLE@address/bits");
  AllowedPeer peer{std::move(title)};
  if (const std::size_t slash = place.find('/'); slash != std::string::npos) {
    const int bits = number_within(place.substr(slash + 1), 0, 32, "number of network bits");
    peer.mask = bits == 0 ? 0 : 0xFFFFFFFFU << (32 - bits);
    place.resize(slash);
  }
  peer.network = parse_ipv4(place) & peer.mask;
  return peer;
}

bool may_connect(std::span<const AllowedPeer> allowed, std::uint32_t address) {
  return std::any_of(allowed.begin(), allowed.end(),
                     [&](const AllowedPeer& peer) { return (address & peer.mask) == peer.network; });
}

bool may_send(std::span<const AllowedPeer> allowed, std::string_view ae_title, std::uint32_t address) {
  return std::any_of(allowed.begin(), allowed.end(), [&](const AllowedPeer& peer) {
    return (address & peer.mask) == peer.network && peer.ae_title == ae_title;
  });
}

}  // namespace cmunet::pacs
