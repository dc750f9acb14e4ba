// SPDX-License-Identifier: Apache-2.0
// Sends DICOM files to another node (C-STORE and C-ECHO SCU).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "cmunet/pacs/peer.h"

namespace cmunet::pacs {

struct ScuOptions {
  std::string ae_title = "CMUNET";  ///< how we call ourselves
  int connect_seconds = 10;
  int response_seconds = 60;  ///< for each message
};

/// What became of one file.
enum class Delivery {
  kStored,    ///< acknowledged, perhaps with a warning
  kTryLater,  ///< not now: out of resources, or the connection broke before the answer
  kRefused,   ///< the receiver will not take it: sending it again would not help
};

struct DeliveryReport {
  Delivery delivery = Delivery::kTryLater;
  std::uint16_t status = 0;  ///< C-STORE status when there was an answer
  std::string reason;        ///< empty when stored
};

/// Sends the files over one association, in order, and calls `on_report(index, report)` after each answer, before the
/// next file is sent. Files are sent in their own transfer syntax; uncompressed ones may be reordered in bytes.
/// @throws Error kIo when no association is made (nothing was sent then); kCorrupt when a file is not DICOM.
void send_files(const Peer& to, std::span<const std::filesystem::path> files, const ScuOptions& options,
                const std::function<void(std::size_t, const DeliveryReport&)>& on_report);

/// Asks whether `to` is there and takes us. @throws Error kIo with the reason when not.
void send_echo(const Peer& to, const ScuOptions& options);

}  // namespace cmunet::pacs
