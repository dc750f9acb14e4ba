// SPDX-License-Identifier: Apache-2.0
// `cmunet anonymize`: copies of DICOM runs without the patient.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/command.h"
#include "cmunet/dicom/deidentify.h"
#include "cmunet/dicom/xa.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::string in, out;
  bool shift_dates = false, allow_burned_in = false;
};

struct Summary {
  int written = 0, left_out = 0, may_have_text = 0;
  Json runs = Json::array();
  Json reasons = Json::array();  ///< of runs that were left out, by kind: messages may hold names of files
};

void add_run(const fs::path& out, const dicom::DeidentifyReport& report, Summary& summary) {
  ++summary.written;
  summary.may_have_text += report.may_have_text ? 1 : 0;
  summary.runs.push_back({{"file", out.filename().string()},
                          {"patient", report.pseudonym},
                          {"removed_attributes", report.removed_attributes},
                          {"replaced_uids", report.replaced_uids},
                          {"cleared_comments", report.cleared_comments},
                          {"may_have_text", report.may_have_text}});
}

std::string numbered(int number) {
  char name[32];
  std::snprintf(name, sizeof name, "run_%05d.dcm", number);
  return name;
}

Summary copy_all(const Flags& flags, const std::vector<fs::path>& runs) {
  dicom::Deidentifier deidentifier(
      {flags.shift_dates ? dicom::Dates::kShifted : dicom::Dates::kRemoved, flags.allow_burned_in});
  Summary summary;
  if (fs::is_regular_file(flags.in) && runs.size() == 1 && fs::equivalent(flags.in, runs.front())) {
    add_run(flags.out, deidentifier.copy(flags.in, flags.out), summary);
    return summary;
  }
  for (const fs::path& run : runs) {
    const fs::path out = fs::path(flags.out) / numbered(summary.written + 1);  // old names may name the patient
    try {
      add_run(out, deidentifier.copy(run, out), summary);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kIo) throw;
      ++summary.left_out;
      summary.reasons.push_back(std::string(to_string(error.code())));
      log_warning("left out: ", error.what());
    }
  }
  return summary;
}

void run(const Flags& flags, const CommonOptions& common) {
  const std::vector<fs::path> runs = dicom::find_runs(flags.in);
  if (runs.empty()) {
    throw Error(ErrorCode::kNotFound, concat("[anonymize] ", flags.in, " holds no X-ray run"),
                "a DICOM file, a folder with DICOM files or a DICOMDIR is read; other objects are left out");
  }
  const bool is_one_file = fs::is_regular_file(flags.in) && fs::equivalent(flags.in, runs.front());
  if (is_one_file) {
    check_output_file(flags.out, common.force);
  } else {
    check_output_folder(flags.out, common.force);
  }
  if (common.dry_run) {
    print_result(common, {{"runs", runs.size()}}, concat("would copy ", runs.size(), " runs\n", kDisclaimer));
    return;
  }
  if (!is_one_file) prepare_output_folder(flags.out, common.force);
  const Summary summary = copy_all(flags, runs);
  CMUNET_CHECK(summary.written > 0, ErrorCode::kUnsupported, "[anonymize] none of the ", runs.size(),
               " runs could be copied");
  const Json document = {{"disclaimer", kDisclaimer},
                         {"written", summary.written},
                         {"left_out", summary.left_out},
                         {"left_out_because", summary.reasons},
                         {"may_have_text", summary.may_have_text},
                         {"runs", summary.runs}};
  std::string text = concat(summary.written, " runs written to ", flags.out, ", ", summary.left_out, " left out\n");
  if (summary.may_have_text > 0) {
    text += concat("look at the frames of ", summary.may_have_text,
                   " runs: their headers do not rule out that text is burned into the pixels\n");
  }
  print_result(common, document, text + kDisclaimer);
  if (summary.left_out > 0) {
    end_incomplete(Error(ErrorCode::kUnsupported,
                         concat("[anonymize] ", summary.left_out, " of ", runs.size(), " runs were left out"),
                         "see the warnings above"));
  }
}

}  // namespace

void add_anonymize(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("in", flags->in, "DICOM file, folder with DICOM files, or DICOMDIR")->required();
  app.add_option("out", flags->out, "file to write for a file, otherwise a folder for run_00001.dcm, …")->required();
  app.add_flag("--shift-dates", flags->shift_dates,
               "move the dates of a patient by one random number of days instead of removing them");
  app.add_flag("--allow-burned-in", flags->allow_burned_in, "also copy runs with text burned into their pixels");
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
