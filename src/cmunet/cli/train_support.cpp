// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/train_support.h"

#include <torch/torch.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>

#include "cmunet/base/log.h"
#include "cmunet/cli/run_report.h"
#include "cmunet/train/process_group.h"
#ifdef CMUNET_IMAGING
#include "cmunet/codec/codec.h"
#include "cmunet/report/overlay.h"
#endif

namespace cmunet::cli {
namespace {

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "the signal handler may only touch lock-free atomics");

extern "C" void on_signal(int signal) {
  stop_requested.store(true);
  std::signal(signal, SIG_DFL);  // the second one kills
}

std::string duration_text(double seconds) {
  const auto total = static_cast<long>(std::lround(seconds));
  char text[32];
  if (total >= 3600) {
    std::snprintf(text, sizeof text, "%ldh%02ldm", total / 3600, total / 60 % 60);
  } else {
    std::snprintf(text, sizeof text, "%ldm%02lds", total / 60, total % 60);
  }
  return text;
}

std::string progress_line(const train::StepEvent& e) {
  constexpr int kWidth = 24;
  const int filled = static_cast<int>(kWidth * e.step / std::max<std::int64_t>(1, e.steps));
  const std::string bar =
      std::string(static_cast<std::size_t>(filled), '=') + std::string(static_cast<std::size_t>(kWidth - filled), ' ');
  char text[200];
  std::snprintf(text, sizeof text,
                "\r[%s] epoch %ld/%ld  step %ld/%ld  loss %.4f  lr %.2e  %.1f img/s (data %.0f%%)  left %s   ",
                bar.c_str(), static_cast<long>(e.epoch), static_cast<long>(e.epochs), static_cast<long>(e.step),
                static_cast<long>(e.steps), e.loss, e.lr, e.images_per_second, 100 * e.data_share,
                duration_text(e.eta_s).c_str());
  return text;
}

// Numbers of a metrics row in one line, e.g. "epoch 3  step 120  loss 0.4312  val_dice 0.6120".
std::string row_line(const Json& row) {
  std::string line;
  for (const auto& [key, value] : row.items()) {
    char text[96];
    if (value.is_number_integer()) {
      std::snprintf(text, sizeof text, "%s %ld  ", key.c_str(), static_cast<long>(value.get<std::int64_t>()));
    } else if (value.is_number()) {
      std::snprintf(text, sizeof text, "%s %.4g  ", key.c_str(), value.get<double>());
    } else {
      continue;
    }
    line += text;
  }
  return line;
}

void write_picture(const std::filesystem::path& run_dir, const std::string& name, const image::ImageF& strip) {
#ifdef CMUNET_IMAGING
  std::filesystem::create_directories(run_dir / "pictures");
  codec::write_png(run_dir / "pictures" / (name + ".png"), report::to_grey8(strip));
#else
  static_cast<void>(run_dir), static_cast<void>(name), static_cast<void>(strip);
#endif
}

}  // namespace

void add_config_flags(CLI::App& app, ConfigFlags& flags) {
  app.add_option("--config", flags.file, "TOML file with the options")->check(CLI::ExistingFile);
  app.add_option("--set", flags.assignments, "key=value, overrides the file; may be repeated")
      ->take_all()
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_flag("--check-config", flags.check_only, "only check the configuration; no store is opened");
}

void apply_config(const ConfigFlags& flags, Fields& fields, std::span<const std::string_view> other_sections) {
  if (!flags.file.empty()) fields.apply(load_toml(flags.file), flags.file, other_sections);
  for (const std::string& assignment : flags.assignments) fields.apply_set(assignment);
}

void add_run_flags(CLI::App& app, RunFlags& flags) {
  app.add_option("--out", flags.out, "run folder")->required();
  app.add_flag("--resume", flags.resume, "continue the run in --out");
  app.add_flag("--auto-resume", flags.auto_resume, "continue the run in --out if there is one, else start it");
  app.add_option("--kernels", flags.kernels, "who computes the UNet's blocks; as model.kernels, which is native")
      ->check(CLI::IsMember({"torch", "native"}));
  app.add_option("--peer-timeout", flags.peer_timeout_s, "seconds to wait for the other processes of a run")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

void apply_run_flags(const RunFlags& flags, Fields& fields) {
  if (!flags.kernels.empty()) fields.apply_set("model.kernels=" + flags.kernels);
}

Processes::Processes(const CommonOptions& common, const RunFlags& flags)
    : launch_(train::read_launch()),
      peers_(train::join_processes(launch_,
                                   std::chrono::milliseconds(static_cast<std::int64_t>(1000 * flags.peer_timeout_s)))),
      scope_(*peers_) {
  train::set_up_process(train::threads_of(launch_, common.threads));
  if (!lead()) {
    set_log_sink({});
  } else if (!launch_.alone()) {
    log_info(launch_.size, " processes, started by ", launch_.launcher);
  }
}

bool of_leader(bool own) {
  const at::Tensor answer = torch::full({1}, own ? 1.0 : 0.0);
  nn::communicator().broadcast(answer);
  return answer.item<float>() > 0;
}

const std::atomic<bool>* install_stop_handler() {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) std::signal(signal, on_signal);
  return &stop_requested;
}

train::Observer make_observer(const CommonOptions& common, const std::filesystem::path& run_dir,
                              const std::string& title) {
  train::Observer observer;
  if (!nn::communicator().leads()) return observer;
  const bool terminal = ::isatty(STDERR_FILENO) != 0;
  if (!common.quiet && terminal) {
    observer.on_step = [last = std::chrono::steady_clock::time_point{}](const train::StepEvent& event) mutable {
      const auto now = std::chrono::steady_clock::now();
      if (now - last < std::chrono::milliseconds(200) && event.step != event.steps) return;
      last = now;
      std::fputs(progress_line(event).c_str(), stderr);
    };
  }
  observer.on_epoch = [terminal, quiet = common.quiet, run_dir, title](const Json& row) {
    if (!quiet) std::fprintf(stderr, "%s%s\n", terminal ? "\r\033[K" : "", row_line(row).c_str());
    write_run_report(run_dir, title);
  };
  observer.on_picture = [run_dir](const std::string& name, const image::ImageF& strip) {
    write_picture(run_dir, name, strip);
  };
  return observer;
}

}  // namespace cmunet::cli
