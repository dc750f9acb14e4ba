// SPDX-License-Identifier: Apache-2.0
// The queue of a node, kept in folders alone: what a killed node finds again when it starts.
//
//   receiving/             objects on their way in; emptied at start, because nobody was told that they arrived
//   incoming/<key>.dcm     received, flushed and acknowledged; waiting
//   working/<key>/         source.dcm, attempts (its size is their number), results/ once all results are there
//   done/<key>/            record.json: every result was sent
//   failed/<key>/          everything that was there, and record.json with the reason
//
// <key> is a fingerprint of the SOP Instance UID, so that names and logs identify nobody. Every change of state is one
// rename followed by a flush of the folders. A result that was sent is renamed to <name>.sent.
#pragma once

#include <filesystem>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cmunet/base/json.h"

namespace cmunet::pacs {

struct SpoolOptions {
  int max_jobs = 1000;      ///< objects waiting or worked on; beyond it new ones are refused
  int max_attempts = 3;     ///< a node that dies or errs this often while it works on an object gives it up
  bool keep_files = false;  ///< keep source and results in done/
};

/// Thread-safe; one process per folder.
class Spool {
 public:
  /// Makes the folders, or finds what an earlier process left. @throws Error kIo; kInvalidArgument when another
  /// process uses the folder.
  Spool(const std::filesystem::path& root, const SpoolOptions& options);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  /// Where an object is written before `take`.
  const std::filesystem::path& receiving_folder() const { return receiving_; }

  enum class Taken {
    kStored,  ///< will be worked on, once
    kKnown,   ///< this object was taken before: the copy is dropped. A failed one is tried again, from the new copy
              ///< unless it has results.
    kFull,    ///< refused, the copy is dropped
  };
  /// Takes a file of `receiving_folder()` that is flushed to the disk. When this returns kStored the object survives
  /// the death of process and machine. @throws Error kIo.
  Taken take(const std::filesystem::path& file, const std::string& sop_instance_uid);

  static std::string key_of(const std::string& sop_instance_uid);

  /// The object to work on next, oldest first, now in working/ and without results; none when there is nothing to do
  /// but what is `waiting`.
  std::optional<std::string> next(const std::set<std::string>& waiting = {});
  /// Counts one attempt on the disk, before the work begins. False when there were max_attempts before.
  bool begin_attempt(const std::string& key);
  /// Removes what was made of results that are not complete.
  void drop_results(const std::string& key);
  /// Takes back what `begin_attempt` counted: the object was not the reason that the attempt failed.
  void forget_attempt(const std::string& key);
  std::filesystem::path source(const std::string& key) const;
  /// An empty folder for results.
  std::filesystem::path fresh_results_folder(const std::string& key);
  /// Flushes the results and makes them the final ones: work on this object never happens again.
  void publish_results(const std::string& key);

  /// Objects that have results and are not done, oldest first.
  std::vector<std::string> unsent() const;
  /// The results of an object that were not sent, by name.
  std::vector<std::filesystem::path> unsent_results(const std::string& key) const;
  void mark_sent(const std::filesystem::path& result);

  /// Moves an object on, with a record of when and what. `reason` must not identify a patient.
  void finish(const std::string& key);
  void fail(const std::string& key, const std::string& reason);

  struct Counts {
    int incoming = 0, working = 0, done = 0, failed = 0;
  };
  Counts counts() const;

 private:
  void move_on(const std::string& key, const std::filesystem::path& to, Json record);
  void recover();

  SpoolOptions options_;
  std::filesystem::path receiving_, incoming_, working_, done_, failed_;
  int lock_fd_ = -1;
  mutable std::mutex mutex_;
};

}  // namespace cmunet::pacs
