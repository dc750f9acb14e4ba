// SPDX-License-Identifier: Apache-2.0
// A DICOM storage service (C-STORE and C-ECHO SCP) for untrusted networks: who may send what is decided here, bytes go
// to files, and only what is safely on the disk is acknowledged.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cmunet/pacs/peer.h"
#include "cmunet/pacs/received_file.h"

namespace cmunet::pacs {

struct StoreScpOptions {
  std::string ae_title = "CMUNET";         ///< callers must call us so
  std::string bind_address = "127.0.0.1";  ///< IPv4; "0.0.0.0" listens on every interface
  int port = 11112;                        ///< 0: any free one, see StoreScp::port()
  std::vector<AllowedPeer> allowed;        ///< nobody else is answered
  /// Beside XA, XRF and their enhanced forms, also secondary captures, single- and multi-frame, are accepted.
  bool takes_captures = true;
  std::uint64_t max_object_bytes = std::uint64_t{2} << 30;
  int max_associations = 8;     ///< at the same time; more are refused with "local limit exceeded"
  int handshake_seconds = 10;   ///< from connection to the whole association request
  int idle_seconds = 60;        ///< waiting for the next message
  int object_seconds = 600;     ///< from the first to the last byte of one object
  int stop_grace_seconds = 10;  ///< what is being received when the service stops may finish within
};

/// What a sender is told; the value is the C-STORE status (DICOM PS3.4, B.2.3).
enum class StoreStatus : std::uint16_t {
  kSuccess = 0x0000,
  kInvalidUid = 0x0117,      ///< invalid object instance
  kOutOfResources = 0xA700,  ///< too large, disk or queue full: the sender may try again
  kCannotStore = 0xC000,     ///< the message cannot be understood
};

/// Called on the thread of the association, for several associations at once, with a file that is flushed to the disk
/// and now belongs to the callee. The sender gets what it returns; kOutOfResources when it throws, and the file is
/// removed if it is still there.
using OnObject = std::function<StoreStatus(const std::filesystem::path& file, const ObjectIdentity& identity)>;

/// Listens from construction to destruction.
class StoreScp {
 public:
  /// @param receiving  an existing folder for files on their way in, on one file system with where they go
  /// @throws Error kInvalidArgument, kIo when the port cannot be had.
  StoreScp(const StoreScpOptions& options, std::filesystem::path receiving, OnObject on_object);
  /// Calls stop().
  ~StoreScp();
  StoreScp(const StoreScp&) = delete;
  StoreScp& operator=(const StoreScp&) = delete;

  int port() const;
  /// Accepts nobody any more, lets objects on their way arrive within the grace time and closes the rest.
  void stop();

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace cmunet::pacs
