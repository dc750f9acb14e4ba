// SPDX-License-Identifier: Apache-2.0
// A node of a PACS: takes objects, has each worked on, and sends the results on. What an object's work is, the caller
// says; this file knows networks, folders and what must survive the death of the process.
//
// What holds when the process or the machine dies at any instant and is started again:
// * An object whose sender was told "stored" is worked on. It is never lost, and worked on to its end once.
// * Results are made once and written before the first is sent; what is sent later are the same bytes.
// * A result that was recorded as sent is not sent again. Between the receiver's answer and that record lies one
// rename:
//   a death in between makes the same bytes under the same SOP Instance UID go out a second time, which a receiver
//   stores as the one object they are. No protocol without a transaction across both sides can promise more.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "cmunet/pacs/peer.h"
#include "cmunet/pacs/spool.h"
#include "cmunet/pacs/store_scp.h"
#include "cmunet/pacs/store_scu.h"

namespace cmunet::pacs {

struct NodeOptions {
  StoreScpOptions scp;
  SpoolOptions spool;
  std::filesystem::path spool_folder;
  Peer destination;           ///< where results go
  double retry_seconds = 30;  ///< after a destination could not be reached, or a disk was full; for an object that was
                              ///< tried before, doubled with every try up to 64 times
  int max_tries = 128;  ///< an object whose results are not taken so often, or cannot be made for want of memory or
                        ///< disk, is put into failed/: after two and a half days with 30 s. Not the times that nobody
                        ///< answers at the destination
};

/// Makes DICOM files of the object `source` in the empty folder `results`; each is sent. Their UIDs must follow from
/// the source (`derive_uid`). May throw Error: for kCorrupt, kUnsupported and kInvalidArgument the object goes to
/// failed/ with the message, which must not identify a patient; for kIo and kOutOfMemory it waits for better times; for
/// others it is tried `SpoolOptions::max_attempts` times. Called on one thread, for one object at a time.
using Process = std::function<void(const std::filesystem::path& source, const std::filesystem::path& results)>;

/// Runs from construction to destruction.
class Node {
 public:
  /// @throws Error kInvalidArgument, kIo.
  Node(const NodeOptions& options, Process process);
  /// Calls stop().
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  int port() const;
  Spool::Counts counts() const;
  /// Stops receiving, finishes the object that is being worked on and returns; what waits, waits for the next start.
  void stop();

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace cmunet::pacs
