// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/tensorboard.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstring>

#include "cmunet/base/error.h"

namespace cmunet::train {
namespace {

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    table[i] = crc;
  }
  return table;
}

template <typename T>
std::string little_endian(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));  // every supported machine is little-endian
  return bytes;
}
static_assert(std::endian::native == std::endian::little);

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7f) | 0x80);
  return bytes + static_cast<char>(value);
}

// Protocol-buffer fields: key = (number << 3) | wire type.
std::string field_double(unsigned number, double value) { return varint(number << 3 | 1) + little_endian(value); }
std::string field_float(unsigned number, float value) { return varint(number << 3 | 5) + little_endian(value); }
std::string field_int(unsigned number, std::int64_t value) {
  return varint(number << 3) + varint(static_cast<std::uint64_t>(value));
}
std::string field_bytes(unsigned number, std::string_view value) {
  return varint(number << 3 | 2) + varint(value.size()) + std::string(value);
}

double wall_time_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

std::uint32_t masked_crc32c(std::string_view bytes) {
  static constexpr auto kTable = make_crc_table();
  std::uint32_t crc = ~0U;
  for (const char c : bytes) crc = kTable[(crc ^ static_cast<unsigned char>(c)) & 0xff] ^ (crc >> 8);
  crc = ~crc;
  return std::rotr(crc, 15) + 0xa282ead8U;
}

EventWriter::EventWriter(const std::filesystem::path& dir) {
  const auto name =
      concat("events.out.tfevents.", static_cast<std::int64_t>(wall_time_s()), ".", ::getpid(), ".cmunet");
  out_.open(dir / name, std::ios::binary);
  CMUNET_CHECK(out_.good(), ErrorCode::kIo, "[tensorboard] cannot create ", (dir / name).string());
  record(field_double(1, wall_time_s()) + field_bytes(3, "brain.Event:2"));
}

void EventWriter::scalars(std::int64_t step, const std::vector<std::pair<std::string, double>>& values) {
  std::string summary;
  for (const auto& [tag, value] : values) {
    summary += field_bytes(1, field_bytes(1, tag) + field_float(2, static_cast<float>(value)));
  }
  record(field_double(1, wall_time_s()) + field_int(2, step) + field_bytes(5, summary));
}

void EventWriter::record(std::string_view event) {
  const std::string length = little_endian(std::uint64_t{event.size()});
  out_ << length << little_endian(masked_crc32c(length)) << event << little_endian(masked_crc32c(event));
  out_.flush();
  CMUNET_CHECK(out_.good(), ErrorCode::kIo, "[tensorboard] writing the event file failed");
}

}  // namespace cmunet::train
