// SPDX-License-Identifier: Apache-2.0
// The DICOM part of one connection to the storage service.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>

#include "cmunet/pacs/store_scp.h"

namespace cmunet::pacs {

/// One connection as its thread and the stopping thread share it.
struct Session {
  int socket = -1;               ///< owned by whoever serves it
  std::uint32_t address = 0;     ///< of the caller, host byte order
  std::atomic<bool> idle{true};  ///< no message is being received or answered
};

/// Waits until the whole association request lies in the socket's buffer, without taking it out.
/// @return false when it is no such request, above 64 KiB, or not there within `seconds`
bool await_association_request(int socket, int seconds);

/// Serves connections with DCMTK. Thread-safe; outlives its sessions.
class AssociationServer {
 public:
  /// @param stopping  set when the service stops; then no further message is served
  AssociationServer(const StoreScpOptions& options, std::filesystem::path receiving, OnObject on_object,
                    const std::atomic<bool>& stopping);
  ~AssociationServer();

  /// Serves a connection whose association request has arrived to its end, and closes its socket.
  void serve(Session& session);

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace cmunet::pacs
