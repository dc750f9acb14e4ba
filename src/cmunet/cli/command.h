// SPDX-License-Identifier: Apache-2.0
// The command table: one row and one file per command. A command's file declares its flags and what they do.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <span>
#include <string>

#include "cmunet/base/error.h"
#include "cmunet/base/json.h"

namespace cmunet::cli {

/// Flags that every command understands, but for `device`.
struct CommonOptions {
  bool json = false;        ///< print one JSON document on stdout; human text goes to stderr
  bool quiet = false;       ///< no progress, no information; warnings and errors stay
  bool force = false;       ///< overwrite what is already there
  bool dry_run = false;     ///< say what would be done, with its cost, and stop
  std::uint64_t seed = 42;  ///< the seed of everything random
  bool seed_given = false;  ///< --seed was on the command line, so it wins over a config file
  int threads = 0;          ///< 0 means all cores
  std::string device = "cpu";
  std::string precision = "fp32";  ///< of LibTorch where --device asks for it: fp32, bf16 or fp16
};

/// What --device means to a command.
enum class Device {
  kNone,       ///< it has no such flag
  kOwn,        ///< where networks are trained
  kElsewhere,  ///< where LibTorch runs a network: the other program does, under the same name
};

/// One command: `add` declares its own flags on `app` and sets `app.callback(…)` to the function that runs it.
/// `common` outlives the call and is filled when the callback runs.
struct Command {
  const char* name;
  const char* summary;
  void (*add)(CLI::App& app, const CommonOptions& common);
  Device device = Device::kNone;
};

/// Parses the command line, runs the command, turns every error into one line on stderr and an exit status.
/// @param elsewhere  commands that `other_program` (found beside this one) runs; may be empty
/// @param other_program  its arguments are this one's, unchanged
int run_program(int argc, char** argv, const char* description, std::span<const Command> commands,
                std::span<const std::pair<const char*, const char*>> elsewhere = {}, const char* other_program = "");

/// With --json prints `document` on stdout; otherwise prints `text` there.
void print_result(const CommonOptions& common, const Json& document, const std::string& text);

/// Ends a command that has printed its result and left some of its work out: `error` becomes a line on stderr and the
/// exit status. stdout stays as it is, so that --json prints one document.
[[noreturn]] void end_incomplete(const Error& error);

/// The folder that holds the running executable.
std::string program_folder();

/// Does what needs LibTorch.
inline constexpr const char* kTrainProgram = "cmunet-train";
/// The path of a program of this project, beside the running one. @throws Error kNotFound when it cannot be run.
std::string find_program(const std::string& name);

// The commands of `cmunet`, without LibTorch.
void add_phantom(CLI::App& app, const CommonOptions& common);
void add_anonymize(CLI::App& app, const CommonOptions& common);
void add_prepare(CLI::App& app, const CommonOptions& common);
void add_doctor(CLI::App& app, const CommonOptions& common);
void add_benchmark(CLI::App& app, const CommonOptions& common);
void add_measure(CLI::App& app, const CommonOptions& common);
void add_tune(CLI::App& app, const CommonOptions& common);
void add_compare(CLI::App& app, const CommonOptions& common);
void add_bench(CLI::App& app, const CommonOptions& common);
void add_export(CLI::App& app, const CommonOptions& common);
void add_demo(CLI::App& app, const CommonOptions& common);
void add_postprocess(CLI::App& app, const CommonOptions& common);
void add_node(CLI::App& app, const CommonOptions& common);
void add_dicomweb(CLI::App& app, const CommonOptions& common);

// In both programs: with the native engine in `cmunet`, with LibTorch in `cmunet-train` where --device is given.
void add_evaluate(CLI::App& app, const CommonOptions& common);
void add_info(CLI::App& app, const CommonOptions& common);
void add_predict(CLI::App& app, const CommonOptions& common);

// The commands of `cmunet-train`.
void add_pretrain(CLI::App& app, const CommonOptions& common);
void add_finetune(CLI::App& app, const CommonOptions& common);

}  // namespace cmunet::cli
