// SPDX-License-Identifier: Apache-2.0
// `cmunet node`: a PACS sends runs, and segmentations and reports come back.
#include "cmunet/pacs/node.h"

#include <signal.h>

#include <memory>

#include "cmunet/base/hash.h"
#include "cmunet/base/log.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/command.h"
#include "cmunet/cli/model.h"
#include "cmunet/cli/postprocess_flags.h"
#include "cmunet/cli/predict_run.h"
#include "cmunet/dicom/xa.h"
#include "cmunet/engine/segmenter.h"
#include "cmunet/pacs/uid.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::string ae_title = "CMUNET", bind = "127.0.0.1", send_to, spool, model, frames = "best";
  std::vector<std::string> allow;
  int port = 11112, max_associations = 8, max_queue = 1000;
  double max_object_mb = 2048, retry_seconds = 30;
  PostprocessFlags postprocess;
  bool dicom_sc = false, keep_files = false;
};

pacs::NodeOptions node_options(const Flags& flags) {
  pacs::NodeOptions options;
  options.scp.ae_title = flags.ae_title;
  options.scp.bind_address = flags.bind;
  options.scp.port = flags.port;
  for (const std::string& peer : flags.allow) options.scp.allowed.push_back(pacs::parse_allowed_peer(peer));
  CMUNET_CHECK(flags.max_object_mb > 0 && flags.max_object_mb <= 1e6, ErrorCode::kInvalidArgument,
               "[node] --max-object-mb ", flags.max_object_mb, "; expected above 0, at most 1000000");
  options.scp.takes_captures = !flags.dicom_sc;  // a PACS that passes on everything would send ours back for ever
  options.scp.max_object_bytes = static_cast<std::uint64_t>(flags.max_object_mb * (1 << 20));
  options.scp.max_associations = flags.max_associations;
  options.spool.max_jobs = flags.max_queue;
  options.spool.keep_files = flags.keep_files;
  options.spool_folder = flags.spool;
  options.destination = pacs::parse_peer(flags.send_to);
  options.retry_seconds = flags.retry_seconds;
  return options;
}

// What makes the results of a run: another model or version makes other objects, under other UIDs.
std::string fingerprint(const std::string& model_path, const engine::PostprocessOptions& postprocessing,
                        const std::string& frames) {
  return hash_hex(concat(model_hash(model_path), engine::to_json(postprocessing).dump(), frames, kVersion));
}

pacs::Process make_process(const Model& model, const std::string& model_path, const Flags& flags) {
  const engine::PostprocessOptions postprocessing = read_postprocessing(flags.postprocess, model_path);
  const auto segmenter = std::make_shared<engine::Segmenter>(
      model.engine, preprocess::options_from_json(model.info.preprocessing, model_path), postprocessing);
  const RunJob base{.frames = parse_frame_choice(flags.frames, "[node] --frames"),
                    .pictures = std::nullopt,
                    .segmentation = true,
                    .secondary_captures = flags.dicom_sc,
                    .report = true,
                    .model = fs::path(model_path).stem().string(),
                    .name_result = {}};
  return [segmenter, base, recipe = fingerprint(model_path, postprocessing, flags.frames)](const fs::path& source,
                                                                                           const fs::path& results) {
    const dicom::XaRun run(source);
    const std::string& uid = run.header().source.sop_instance_uid;
    RunJob job = base;
    job.called = "object " + source.parent_path().filename().string().substr(0, 12);
    job.name_result = [&](const std::string& role, int frame) {
      dicom::ResultOptions options;
      options.series_uid = pacs::derive_uid(uid, concat(recipe, " series ", role));
      options.instance_uid = pacs::derive_uid(uid, concat(recipe, " ", role, " ", frame));
      return options;
    };
    predict_run(run, "result", *segmenter, job, results);
  };
}

void greet(const pacs::Peer& destination, const std::string& ae_title) {
  try {
    pacs::send_echo(destination, {ae_title});
    log_info("[node] ", destination.ae_title, " answers: results can be sent there");
  } catch (const Error& e) {
    log_warning(e.what(), ". Results wait until it answers");
  }
}

Json to_json(const pacs::Spool::Counts& counts) {
  return {{"incoming", counts.incoming}, {"working", counts.working}, {"done", counts.done}, {"failed", counts.failed}};
}

void run(const Flags& flags, const CommonOptions& common) {
  const pacs::NodeOptions options = node_options(flags);
  const std::string model_path = flags.model.empty() ? default_model() : flags.model;
  const Model model = open_model(model_path, common);
  CMUNET_CHECK(model.info.kind == "segmentation", ErrorCode::kInvalidArgument, "[node] ", model_path, " is a ",
               model.info.kind, " network; expected one from cmunet finetune");
  const pacs::Process process = make_process(model, model_path, flags);
  if (common.dry_run) {
    const Json plan = {{"disclaimer", kDisclaimer}, {"ae_title", flags.ae_title}, {"bind", flags.bind},
                       {"port", flags.port},        {"allow", flags.allow},       {"spool", flags.spool},
                       {"send_to", flags.send_to}};
    print_result(common, plan,
                 concat("would listen on ", flags.bind, ":", flags.port, " as ", flags.ae_title, "\n", kDisclaimer));
    return;
  }
  // Blocked before threads start, so that they inherit it: only the wait below sees these signals.
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGINT);
  sigaddset(&stop_signals, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);  // a caller that hangs up is no reason to die
  pacs::Node node(options, process);
  log_info("[node] ", flags.ae_title, " listens on ", flags.bind, ":", node.port(), ". ", kDisclaimer);
  greet(options.destination, flags.ae_title);
  int received = 0;
  ::sigwait(&stop_signals, &received);
  ::pthread_sigmask(SIG_UNBLOCK, &stop_signals, nullptr);  // the second signal kills, which loses nothing either
  log_info("[node] stopping after the object that is being worked on");
  node.stop();
  const pacs::Spool::Counts counts = node.counts();
  Json document = {{"disclaimer", kDisclaimer}};
  document.update(to_json(counts));
  print_result(common, document,
               concat("stopped; ", counts.incoming + counts.working, " objects wait for the next start, ", counts.done,
                      " are done, ", counts.failed, " failed\n", kDisclaimer));
}

}  // namespace

void add_node(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("--allow", flags->allow,
                 "who may send, TITLE@address or TITLE@address/bits (IPv4); give it once per sender")
      ->required();
  app.add_option("--send-to", flags->send_to, "where results go, TITLE@host:port")->required();
  app.add_option("--spool", flags->spool, "folder of the queue; it survives restarts and holds patients' images")
      ->required();
  app.add_option("--ae-title", flags->ae_title, "how the node is called")->capture_default_str();
  app.add_option("--bind", flags->bind, "address to listen on; 0.0.0.0 for every interface")->capture_default_str();
  app.add_option("--port", flags->port, "port to listen on, 0 for any")->capture_default_str();
  app.add_option("--model", flags->model, "model file or run folder; without it the model that comes with the program");
  add_postprocess_flags(app, flags->postprocess);
  app.add_option("--frames", flags->frames, "best (where the arteries are filled), all, or a number from 1")
      ->capture_default_str();
  app.add_flag(
      "--dicom-sc", flags->dicom_sc,
      "also send the overlays as secondary captures, for viewers that show no segmentations; none are taken then");
  app.add_option("--max-object-mb", flags->max_object_mb, "larger objects are refused")->capture_default_str();
  app.add_option("--max-associations", flags->max_associations, "more at the same time are refused")
      ->capture_default_str();
  app.add_option("--max-queue", flags->max_queue, "objects waiting; more are refused")->capture_default_str();
  app.add_option("--retry-seconds", flags->retry_seconds, "pause after the destination could not be reached")
      ->capture_default_str();
  app.add_flag("--keep-files", flags->keep_files, "keep objects and results in the spool's done folder");
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
