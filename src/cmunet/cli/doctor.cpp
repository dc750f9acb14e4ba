// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dataset/doctor.h"

#include <algorithm>
#include <memory>
#include <thread>

#include "cmunet/base/version.h"
#include "cmunet/cli/command.h"

namespace cmunet::cli {
namespace {

void run(const std::string& path, const CommonOptions& common) {
  const int threads =
      common.threads > 0 ? common.threads : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const std::vector<dataset::Finding> findings = dataset::examine(path, threads);
  Json document = dataset::to_json(findings);
  document["path"] = path;
  document["disclaimer"] = kDisclaimer;
  std::string text;
  for (const dataset::Finding& f : findings) {
    text += concat(f.is_error ? "error   " : "warning ", f.where, " ", f.message, "\n        fix: ", f.fix, "\n");
  }
  const auto errors = document["errors"].get<std::int64_t>();
  text += concat(path, ": ", errors, " errors, ", document["warnings"].get<std::int64_t>(), " warnings\n", kDisclaimer);
  print_result(common, document, text);
  if (errors > 0) end_incomplete(Error(ErrorCode::kCorrupt, concat("[doctor] ", path, " has ", errors, " errors")));
}

}  // namespace

void add_doctor(CLI::App& app, const CommonOptions& common) {
  const auto path = std::make_shared<std::string>();
  app.add_option("path", *path, "store, or folder of images")->required();
  app.callback([path, &common] { run(*path, common); });
}

}  // namespace cmunet::cli
