// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/run_folder.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/version.h"
#include "cmunet/nn/communicator.h"
#include "cmunet/train/control.h"

namespace cmunet::train {
namespace fs = std::filesystem;

namespace {

// A resumed run may change how long it runs and how often it writes, nothing that moves a weight.
bool may_change_on_resume(const std::string& name) {
  constexpr std::array<std::string_view, 3> kKeys{"max_minutes", "save_every_epochs", "picture_every_epochs"};
  return std::any_of(kKeys.begin(), kKeys.end(), [&](std::string_view key) { return name.ends_with(key); });
}

void check_same_options(const fs::path& file, const Fields& fields) {
  const Json saved = load_toml(file).flatten();
  const Json now = fields.to_json().flatten();
  for (const auto& [pointer, value] : now.items()) {
    const std::string name = pointer.substr(1);
    if (may_change_on_resume(name) || (saved.contains(pointer) && saved[pointer] == value)) continue;
    throw Error(ErrorCode::kInvalidArgument,
                concat("[resume] option ", name, " is ", value.dump(), " but the run began with ",
                       saved.contains(pointer) ? saved[pointer].dump() : "none"),
                "resume with the same --config and --set, or start a new run in another folder");
  }
}

}  // namespace

RunFolder::RunFolder(fs::path dir, const Fields& fields, bool resume, bool force)
    : dir_(std::move(dir)), is_written_(nn::communicator().leads()) {
  if (is_written_) open(fields, resume, force);
  nn::communicator().barrier();
}

bool RunFolder::has_state(const fs::path& dir) { return fs::exists(dir / "checkpoints" / kStateFile); }

void RunFolder::open(const Fields& fields, bool resume, bool force) {
  const fs::path config = dir_ / "config.toml";
  if (resume) {
    if (!fs::exists(config)) {
      throw Error(ErrorCode::kNotFound, concat("[resume] ", dir_.string(), " holds no run (no config.toml)"),
                  "start without --resume");
    }
    check_same_options(config, fields);
  } else {
    prepare_output_folder(dir_, force);
    // With --force an older run's state must not be taken for this one's.
    for (const char* old : {"checkpoints", "pictures", "metrics.jsonl", "run.json"}) fs::remove_all(dir_ / old);
  }
  std::error_code ec;
  fs::remove(dir_ / kStopFile, ec);  // what stopped an earlier run must not stop this one
  fs::create_directories(dir_ / "checkpoints", ec);
  CMUNET_CHECK(!ec, ErrorCode::kIo, "[run] cannot create ", (dir_ / "checkpoints").string(), ": ", ec.message());
  write_file_atomic(config, concat("# Resolved options of this run. ", kDisclaimer, "\n", fields.to_toml()));
  events_ = std::make_unique<EventWriter>(dir_);
}

void RunFolder::truncate_metrics(std::int64_t step) {
  if (!is_written_) return;
  const fs::path path = dir_ / "metrics.jsonl";
  if (!fs::exists(path)) return;
  std::istringstream lines(read_file(path));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const Json row = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    // A line cut by a crash does not parse; it belongs to steps that are done again.
    if (row.is_object() && row.value("step", std::int64_t{0}) <= step) kept += line + "\n";
  }
  write_file_atomic(path, kept);
}

void RunFolder::append_metrics(const Json& row) {
  if (!is_written_) return;
  std::ofstream out(dir_ / "metrics.jsonl", std::ios::app);
  out << row.dump() << "\n";
  out.flush();
  CMUNET_CHECK(out.good(), ErrorCode::kIo, "[run] cannot append to ", (dir_ / "metrics.jsonl").string());
  std::vector<std::pair<std::string, double>> values;
  for (const auto& [key, value] : row.items()) {
    if (value.is_number() && key != "epoch" && key != "step") values.emplace_back(key, value.get<double>());
  }
  events_->scalars(row.value("step", std::int64_t{0}), values);
}

void RunFolder::write_run_json(const Json& details) const {
  if (!is_written_) return;
  Json document = {{"created_by", concat("cmunet ", kVersion)}, {"disclaimer", kDisclaimer}};
  document.update(details);
  save_json(dir_ / "run.json", document);
}

}  // namespace cmunet::train
