// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/command.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <new>
#include <string_view>

#include "cmunet/base/error.h"
#include "cmunet/base/log.h"
#include "cmunet/base/version.h"

namespace cmunet::cli {
namespace {

void add_common_flags(CLI::App& app, CommonOptions& common, Device device) {
  app.add_flag("--json", common.json, "print one JSON document on stdout");
  app.add_flag("-q,--quiet", common.quiet, "no progress and no information on stderr");
  app.add_flag("--force", common.force, "overwrite existing output");
  app.add_flag("--dry-run", common.dry_run, "say what would be done and stop");
  app.add_option("--seed", common.seed, "seed of everything random")->capture_default_str();
  app.add_option("--threads", common.threads, "CPU threads, 0 for all cores")->check(CLI::Range(0, 1024));
  if (device == Device::kOwn) {
    app.add_option("--device", common.device, "cpu, cuda or cuda:N")->capture_default_str();
  } else if (device == Device::kElsewhere) {
    CLI::Option* where =
        app.add_option("--device", common.device,
                       "run LibTorch on cpu, cuda or cuda:N; without this the native engine, which is faster on a CPU");
    app.add_option("--precision", common.precision, "of LibTorch's convolutions: fp32, bf16, or on a GPU fp16")
        ->check(CLI::IsMember({"fp32", "bf16", "fp16"}))
        ->needs(where)
        ->capture_default_str();
  }
}

std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

void print_error_line(const std::string& what) { std::fprintf(stderr, "cmunet: error: %s\n", one_line(what).c_str()); }

int report_error(const CommonOptions& common, ErrorCode code, const std::string& what) {
  print_error_line(what);
  if (common.json) {
    const Json document = {{"error", {{"code", std::string(to_string(code))}, {"message", what}}}};
    std::printf("%s\n", document.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  }
  return exit_status(code);
}

// Without a limit libgomp's threads wait for each other busily for milliseconds, so that beside other programs they
// burn the time of those they wait for. The library reads its settings when it is loaded: in time for the next program
// only.
void limit_busy_waiting() {
  constexpr const char* kSpins = "10000";  // docs/performance.md
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) ::setenv("GOMP_SPINCOUNT", kSpins, /*overwrite=*/0);
}

// Replaces this process by `program` with the same arguments; returns only when that fails.
int hand_over(const std::string& program, char** argv) {
  limit_busy_waiting();
  const std::string path = find_program(program);
  argv[0] = const_cast<char*>(path.c_str());
  ::execv(path.c_str(), argv);
  throw Error(ErrorCode::kInternal, concat("[cmunet] cannot run ", path, ": ", std::strerror(errno)));
}

// True when `flag` stands among the arguments, as "--flag" or "--flag=…".
bool has_flag(int argc, char** argv, std::string_view flag) {
  return std::any_of(argv + 1, argv + argc, [flag](std::string_view argument) {
    return argument.starts_with(flag) && (argument.size() == flag.size() || argument[flag.size()] == '=');
  });
}

}  // namespace

std::string program_folder() {
  std::error_code ec;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", ec);
  if (ec) {
    throw Error(ErrorCode::kInternal, concat("[cmunet] cannot find the program's own path: ", ec.message()),
                "is /proc mounted?");
  }
  return self.parent_path().string();
}

std::string find_program(const std::string& name) {
  std::string path = program_folder() + "/" + name;
  if (::access(path.c_str(), X_OK) == 0) return path;
  throw Error(ErrorCode::kNotFound, concat("[cmunet] this needs ", path, ": ", std::strerror(errno)),
              "install the package " + name + ", or build with -DCMUNET_TORCH=ON");
}

void print_result(const CommonOptions& common, const Json& document, const std::string& text) {
  if (common.json) {
    std::cout << document.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  } else {
    std::cout << text << (text.empty() || text.ends_with('\n') ? "" : "\n");
  }
  std::cout.flush();
}

void end_incomplete(const Error& error) {
  print_error_line(error.what());
  throw CLI::RuntimeError(exit_status(error.code()));
}

int run_program(int argc, char** argv, const char* description, std::span<const Command> commands,
                std::span<const std::pair<const char*, const char*>> elsewhere, const char* other_program) {
  CommonOptions common;
  common.json = has_flag(argc, argv, "--json");  // errors may come before the flags are read
  CLI::App app(std::string(description) + "\n" + kDisclaimer, "cmunet");
  app.set_version_flag("--version", concat("cmunet ", kVersion, "\n", kDisclaimer));
  app.require_subcommand(1);
  try {
    for (const auto& [name, summary] : elsewhere) {
      if (argc > 1 && std::strcmp(argv[1], name) == 0) return hand_over(other_program, argv);
      app.add_subcommand(name, summary);
    }
    for (const Command& command : commands) {
      const bool is_elsewhere = *other_program != '\0' && command.device == Device::kElsewhere && argc > 1 &&
                                std::strcmp(argv[1], command.name) == 0 && has_flag(argc, argv, "--device");
      if (is_elsewhere) return hand_over(other_program, argv);
      CLI::App* sub = app.add_subcommand(command.name, command.summary);
      sub->footer(kDisclaimer);
      add_common_flags(*sub, common, command.device);
      command.add(*sub, common);
      sub->parse_complete_callback([&common, sub] {
        common.seed_given = sub->count("--seed") > 0;
        set_log_sink([&common](LogLevel level, std::string_view text) {
          if (level == LogLevel::kInfo && common.quiet) return;
          std::fprintf(stderr, "%s%.*s\n", level == LogLevel::kWarning ? "warning: " : "",
                       static_cast<int>(text.size()), text.data());
        });
      });
    }
    const auto is_first_word = [argv](const CLI::App* sub) { return sub->get_name() == argv[1]; };
    if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(is_first_word).empty()) {
      throw Error(ErrorCode::kInvalidArgument, concat("[cmunet] there is no command '", argv[1], "'"),
                  "cmunet --help lists them");
    }
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::RuntimeError& e) {
    return e.get_exit_code();
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    return report_error(common, ErrorCode::kInvalidArgument, std::string(e.what()) + " (see --help)");
  } catch (const Error& e) {
    return report_error(common, e.code(), e.what());
  } catch (const std::bad_alloc&) {
    return report_error(common, ErrorCode::kOutOfMemory, "out of memory. Hint: use smaller images or a smaller batch");
  } catch (const std::exception& e) {
    return report_error(common, ErrorCode::kInternal, e.what());
  }
}

}  // namespace cmunet::cli
