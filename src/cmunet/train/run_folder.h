// SPDX-License-Identifier: Apache-2.0
// The folder of one training run: config.toml, metrics.jsonl, events.out.tfevents.*, run.json, checkpoints/, pictures/.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "cmunet/base/config.h"
#include "cmunet/base/json.h"
#include "cmunet/train/tensorboard.h"

namespace cmunet::train {

/// When several processes train, the leading one makes and writes the folder; the others only learn where it is.
class RunFolder {
 public:
  /// Opens a new or, with `resume`, an existing run folder.
  /// @param fields  the resolved options; with `resume` they must equal those in config.toml, but for the keys
  ///                whose names end in one of max_minutes, save_every_epochs, picture_every_epochs
  /// @throws Error kInvalidArgument when the folder is not empty (without force or resume), or the options differ.
  /// Removes a stop file that is left there. Returns in all processes when the folder is there.
  RunFolder(std::filesystem::path dir, const Fields& fields, bool resume, bool force);

  /// True when `dir` holds the state of a run, which can be resumed.
  static bool has_state(const std::filesystem::path& dir);

  const std::filesystem::path& dir() const { return dir_; }
  std::filesystem::path checkpoint(const char* name) const { return dir_ / "checkpoints" / name; }
  std::filesystem::path state_file() const { return checkpoint(kStateFile); }

  /// Drops the lines of metrics.jsonl after `step`: a resumed run writes them again.
  void truncate_metrics(std::int64_t step);
  /// Appends one line to metrics.jsonl and its numbers to the event file. `row` has "epoch" and "step".
  void append_metrics(const Json& row);
  /// Writes run.json: version, start and end, device, threads, seed, exit reason. `details` is added to it.
  void write_run_json(const Json& details) const;

 private:
  static constexpr const char* kStateFile = "last.state.safetensors";

  void open(const Fields& fields, bool resume, bool force);

  std::filesystem::path dir_;
  bool is_written_ = true;
  std::unique_ptr<EventWriter> events_;
};

}  // namespace cmunet::train
