// SPDX-License-Identifier: Apache-2.0
// What steers a training loop from outside, and what it tells the outside.
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "cmunet/base/json.h"
#include "cmunet/image/image.h"

namespace cmunet::train {

/// Where a loop stands, for a progress line.
struct StepEvent {
  std::int64_t epoch = 0, epochs = 0;  ///< 1-based
  std::int64_t step = 0, steps = 0;    ///< done and in all
  double loss = 0;  ///< of the last step that was read from the device, NaN before: on a GPU up to 15 steps old
  double lr = 0;
  double images_per_second = 0;
  double data_share = 0;  ///< part of the time spent making views and batches, 0…1
  double eta_s = 0;
};

/// Called by a loop on its own thread; empty functions are skipped.
struct Observer {
  std::function<void(const StepEvent&)> on_step;
  std::function<void(const Json& row)> on_epoch;  ///< the line of metrics.jsonl
  /// A strip of images side by side (z-scored grey), to be written as `name` under pictures/.
  std::function<void(const std::string& name, const image::ImageF& strip)> on_picture;
};

/// In the run folder, the file that stops a run; the next start of the run removes it.
inline constexpr const char* kStopFile = "stop";

/// Asks a loop to stop after the step it is in: a signal's flag, a time limit, or the stop file. What one process has
/// seen stops all.
class StopRequest {
 public:
  /// @param flag         set by a signal handler; may be null
  /// @param max_minutes  0 for no limit
  StopRequest(const std::atomic<bool>* flag, double max_minutes, std::filesystem::path run_dir);
  /// Empty, or why to stop; the same in all processes, which must all ask.
  std::string reason() const;

 private:
  std::string own_reason() const;

  const std::atomic<bool>* flag_;
  double max_minutes_;
  std::filesystem::path stop_file_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Time per step, split into data and compute; rates over the last steps.
class Throughput {
 public:
  void begin_step();
  /// Around each reading of images within a step.
  void begin_data();
  void data_done();
  void end_step(std::int64_t images);
  double images_per_second() const;
  double data_share() const;
  double seconds_per_step() const;
  double elapsed_s() const;

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now(), step_start_, data_start_;
  double data_s_ = 0, total_s_ = 0;
  std::int64_t images_ = 0, steps_ = 0;
};

/// Sets what LibTorch lacks on this machine: `threads` (0 = all cores) for its kernels, glibc's allocator thresholds
/// (large blocks are reused instead of returned; 1.2-1.6× per step), denormals flushed, 32 bits on a GPU too. Call
/// once, at program start.
void set_up_process(int threads);

/// The device for "cpu", "cuda" or "cuda:N". @throws Error kInvalidArgument, kUnsupported when there is no such device.
at::Device parse_device(const std::string& name);

}  // namespace cmunet::train
