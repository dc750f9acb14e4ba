// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/control.h"

#include <malloc.h>
#include <torch/torch.h>

#include <array>
#include <limits>
#include <thread>

#include "cmunet/base/error.h"
#include "cmunet/nn/communicator.h"

namespace cmunet::train {
namespace {

constexpr std::array<const char*, 3> kReasons{"signal", "max_minutes", "stop file"};

}  // namespace

StopRequest::StopRequest(const std::atomic<bool>* flag, double max_minutes, std::filesystem::path run_dir)
    : flag_(flag), max_minutes_(max_minutes), stop_file_(run_dir / kStopFile) {}

std::string StopRequest::reason() const {
  nn::Communicator& peers = nn::communicator();
  const std::string own = own_reason();
  if (peers.size() == 1) return own;
  const at::Tensor votes = torch::zeros({static_cast<std::int64_t>(kReasons.size())});
  for (std::size_t i = 0; i < kReasons.size(); ++i) {
    if (own == kReasons[i]) votes[static_cast<std::int64_t>(i)] = 1;
  }
  peers.sum(votes);
  for (std::size_t i = 0; i < kReasons.size(); ++i) {
    if (votes[static_cast<std::int64_t>(i)].item<float>() > 0) return kReasons[i];
  }
  return "";
}

std::string StopRequest::own_reason() const {
  if (flag_ != nullptr && flag_->load()) return kReasons[0];
  const std::chrono::duration<double, std::ratio<60>> minutes = std::chrono::steady_clock::now() - start_;
  if (max_minutes_ > 0 && minutes.count() >= max_minutes_) return kReasons[1];
  std::error_code ec;
  if (std::filesystem::exists(stop_file_, ec)) return kReasons[2];
  return "";
}

void Throughput::begin_step() { step_start_ = Clock::now(); }
void Throughput::begin_data() { data_start_ = Clock::now(); }
void Throughput::data_done() { data_s_ += std::chrono::duration<double>(Clock::now() - data_start_).count(); }

void Throughput::end_step(std::int64_t images) {
  const auto now = Clock::now();
  total_s_ += std::chrono::duration<double>(now - step_start_).count();
  images_ += images;
  ++steps_;
}

double Throughput::images_per_second() const { return total_s_ > 0 ? static_cast<double>(images_) / total_s_ : 0; }
double Throughput::data_share() const { return total_s_ > 0 ? data_s_ / total_s_ : 0; }
double Throughput::seconds_per_step() const { return steps_ > 0 ? total_s_ / static_cast<double>(steps_) : 0; }
double Throughput::elapsed_s() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

void set_up_process(int threads) {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  // −1 means never; the parameter is an int.
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
  at::set_num_threads(threads > 0 ? threads : static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
  at::globalContext().setFlushDenormal(true);
  // By default cuDNN computes "fp32" convolutions with ten bits of mantissa.
  at::globalContext().setAllowTF32CuDNN(false);
}

at::Device parse_device(const std::string& name) {
  try {
    const at::Device device(name);
    if (device.is_cuda()) {
      if (!torch::cuda::is_available()) {
        throw Error(ErrorCode::kUnsupported, concat("[device] ", name, ": this build or machine has no CUDA device"),
                    "use --device cpu");
      }
      const auto count = static_cast<int>(torch::cuda::device_count());
      CMUNET_CHECK(!device.has_index() || device.index() < count, ErrorCode::kInvalidArgument, "[device] ", name,
                   ": there are ", count, " CUDA devices");
    }
    CMUNET_CHECK(device.is_cpu() || device.is_cuda(), ErrorCode::kInvalidArgument, "[device] '", name,
                 "'; expected cpu, cuda or cuda:N");
    return device;
  } catch (const c10::Error&) {
    throw Error(ErrorCode::kInvalidArgument, concat("[device] '", name, "'; expected cpu, cuda or cuda:N"));
  }
}

}  // namespace cmunet::train
