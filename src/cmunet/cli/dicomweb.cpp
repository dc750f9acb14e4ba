// SPDX-License-Identifier: Apache-2.0
// `cmunet dicomweb`: find studies on a DICOMweb server, fetch runs from it, store results on it.
#include "cmunet/pacs/dicomweb.h"

#include <cstdlib>
#include <memory>

#include "cmunet/base/file.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/command.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::string action, url, user, level = "study", out;
  pacs::WebSelection selection;
  std::vector<std::string> match, files;
  int limit = 100;
};

// Secrets come from the environment: a command line can be read by everybody on the machine.
pacs::WebServer server_of(const Flags& flags) {
  pacs::WebServer server;
  server.url = flags.url;
  server.user = flags.user;
  if (const char* password = std::getenv("CMUNET_DICOMWEB_PASSWORD")) server.password = password;
  if (const char* token = std::getenv("CMUNET_DICOMWEB_TOKEN")) server.token = token;
  return server;
}

pacs::WebQuery query_of(const Flags& flags) {
  pacs::WebQuery query;
  query.level = flags.level == "study"    ? pacs::WebLevel::kStudy
                : flags.level == "series" ? pacs::WebLevel::kSeries
                                          : pacs::WebLevel::kInstance;
  query.within = flags.selection;
  query.limit = flags.limit;
  for (const std::string& pair : flags.match) {
    const std::size_t equals = pair.find('=');
    CMUNET_CHECK(equals != std::string::npos && equals > 0, ErrorCode::kInvalidArgument, "[dicomweb] --match '", pair,
                 "'; expected Keyword=value");
    query.match.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return query;
}

// UIDs, date and kind: what a person needs to go on, and nothing that names a patient.
std::string line_of(const Json& match, const std::string& level) {
  const auto value = [&match](const char* tag) { return pacs::first_value(match, tag); };
  std::string line = value("0020000D");
  if (level != "study") line += " " + value("0020000E");
  if (level == "instance") return line + " " + value("00080018");
  const std::string modality = level == "study" ? value("00080061") : value("00080060");
  return line + " " + value("00080020") + " " + modality;
}

void search(const Flags& flags, const CommonOptions& common) {
  const Json matches = pacs::search(server_of(flags), query_of(flags));
  std::string text;
  for (const Json& match : matches) text += line_of(match, flags.level) + "\n";
  print_result(common, {{"disclaimer", kDisclaimer}, {"matches", matches}},
               concat(text, matches.size(), " found\n", kDisclaimer));
}

void get(const Flags& flags, const CommonOptions& common) {
  prepare_output_folder(flags.out, common.force);
  const std::vector<fs::path> files = pacs::retrieve(server_of(flags), flags.selection, flags.out);
  Json names = Json::array();
  for (const fs::path& file : files) names.push_back(file.string());
  print_result(common, {{"disclaimer", kDisclaimer}, {"files", names}},
               concat("fetched ", files.size(), " objects into ", flags.out, "\n", kDisclaimer));
}

void store(const Flags& flags, const CommonOptions& common) {
  const pacs::StoreAnswer answer =
      pacs::store(server_of(flags), std::vector<fs::path>(flags.files.begin(), flags.files.end()));
  print_result(common,
               {{"disclaimer", kDisclaimer}, {"stored", answer.stored}, {"failure_reasons", answer.failure_reasons}},
               concat("stored ", answer.stored, " of ", flags.files.size(), " objects\n", kDisclaimer));
  if (answer.failure_reasons.empty()) return;
  const int reason = answer.failure_reasons.front();
  end_incomplete(
      Error(ErrorCode::kIo,
            concat("[dicomweb] the server did not say that it took ", answer.failure_reasons.size(), " objects; ",
                   reason == 0 ? "it gave no reason" : concat("its first reason is ", reason))));
}

// What can be said without asking the server.
void check(const Flags& flags, const CommonOptions& common) {
  if (flags.action == "search") {
    query_of(flags);
  } else if (flags.action == "get") {
    CMUNET_CHECK(!flags.out.empty() && !flags.selection.study_uid.empty(), ErrorCode::kInvalidArgument,
                 "[dicomweb] get needs --study and --out");
    check_output_folder(flags.out, common.force);
  } else {
    CMUNET_CHECK(!flags.files.empty(), ErrorCode::kInvalidArgument, "[dicomweb] store needs files");
    for (const std::string& file : flags.files) {
      CMUNET_CHECK(fs::is_regular_file(file), ErrorCode::kNotFound, "[dicomweb] there is no file ", file);
    }
  }
}

void run(const Flags& flags, const CommonOptions& common) {
  check(flags, common);
  if (common.dry_run) {
    print_result(common, {{"disclaimer", kDisclaimer}, {"action", flags.action}, {"url", flags.url}},
                 concat("would ", flags.action, " at ", flags.url, "\n", kDisclaimer));
  } else if (flags.action == "search") {
    search(flags, common);
  } else if (flags.action == "get") {
    get(flags, common);
  } else {
    store(flags, common);
  }
}

}  // namespace

void add_dicomweb(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("action", flags->action, "search, get or store")
      ->required()
      ->check(CLI::IsMember({"search", "get", "store"}));
  app.add_option("files", flags->files, "store: DICOM files");
  app.add_option("--url", flags->url, "root of the server's DICOMweb services, http or https")->required();
  app.add_option("--user", flags->user,
                 "user name; the password is taken from CMUNET_DICOMWEB_PASSWORD, a bearer token from "
                 "CMUNET_DICOMWEB_TOKEN");
  app.add_option("--study", flags->selection.study_uid, "Study Instance UID");
  app.add_option("--series", flags->selection.series_uid, "Series Instance UID");
  app.add_option("--instance", flags->selection.instance_uid, "SOP Instance UID");
  app.add_option("--out", flags->out, "get: output folder");
  app.add_option("--level", flags->level, "search: what to look for")
      ->check(CLI::IsMember({"study", "series", "instance"}))
      ->capture_default_str();
  app.add_option("--match", flags->match, "search: Keyword=value, e.g. ModalitiesInStudy=XA; may be repeated");
  app.add_option("--limit", flags->limit, "search: at most so many answers")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
