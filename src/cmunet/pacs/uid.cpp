// SPDX-License-Identifier: Apache-2.0
#include "cmunet/pacs/uid.h"

#include <algorithm>

#include "cmunet/base/error.h"
#include "cmunet/base/hash.h"

namespace cmunet::pacs {
namespace {

std::string decimal(std::string_view hex) {
  std::string digits = "0";  // most significant last while multiplying
  for (const char c : hex) {
    int carry = c <= '9' ? c - '0' : c - 'a' + 10;
    for (char& digit : digits) {
      const int value = (digit - '0') * 16 + carry;
      digit = static_cast<char>('0' + value % 10);
      carry = value / 10;
    }
    for (; carry > 0; carry /= 10) digits.push_back(static_cast<char>('0' + carry % 10));
  }
  std::reverse(digits.begin(), digits.end());
  return digits;
}

}  // namespace

bool is_uid(std::string_view text) {
  if (text.empty() || text.size() > 64 || text.front() == '.' || text.back() == '.') return false;
  char before = '.';
  for (const char c : text) {
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_digit && (c != '.' || before == '.')) return false;
    before = c;
  }
  return true;
}

std::string derive_uid(std::string_view source_uid, std::string_view role) {
  CMUNET_CHECK(is_uid(source_uid), ErrorCode::kCorrupt, "[uid] the source object has no valid SOP Instance UID");
  std::string uuid = hash_hex(concat(source_uid, "\n", role));
  uuid[12] = '8';                                          // version
  uuid[16] = "89ab"[static_cast<unsigned>(uuid[16]) % 4];  // variant
  return "2.25." + decimal(uuid);
}

}  // namespace cmunet::pacs
