// SPDX-License-Identifier: Apache-2.0
#include "cmunet/pacs/node.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/base/log.h"
#include "cmunet/dicom/structure.h"
#include "cmunet/dicom/xa.h"

namespace cmunet::pacs {
namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;

// Enough of a key to find its folder, short enough to read.
std::string brief(const std::string& key) { return key.substr(0, 12); }

}  // namespace

struct Node::Data {
  NodeOptions options;
  Process process;
  Spool spool;
  std::optional<StoreScp> scp;
  std::mutex mutex;
  std::condition_variable changed;
  bool has_news = false;  // guarded by mutex: something was received since the worker looked
  std::atomic<bool> stopping{false};
  Clock::time_point send_again = Clock::now();
  std::thread worker;

  Data(const NodeOptions& given, Process work)
      : options(given), process(std::move(work)), spool(given.spool_folder, given.spool) {}

  StoreStatus take(const fs::path& file, const ObjectIdentity& identity);
  void wake();
  void work_loop();
  bool work_once();
  void make_results(const std::string& key);
  void send_results(const std::string& key);
};

StoreStatus Node::Data::take(const fs::path& file, const ObjectIdentity& identity) {
  const std::string key = brief(Spool::key_of(identity.sop_instance_uid));
  try {
    dicom::check_structure(file, dicom::Part::kWhole);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::kCorrupt && e.code() != ErrorCode::kUnsupported) throw;
    fs::remove(file);
    log_warning("[node] refused ", key, ": ", e.what());
    return StoreStatus::kCannotStore;
  }
  if (dicom::is_own_result(file)) {  // a PACS that passes on everything; no circle begins, and nothing is kept
    fs::remove(file);
    log_info("[node] passed over ", key, ": a result of this program");
    return StoreStatus::kSuccess;
  }
  const Spool::Taken taken = spool.take(file, identity.sop_instance_uid);
  if (taken == Spool::Taken::kFull) {
    log_warning("[node] refused ", key, ": the queue is full");
    return StoreStatus::kOutOfResources;
  }
  log_info("[node] received ", key, taken == Spool::Taken::kKnown ? ", which is known" : "");
  wake();
  return StoreStatus::kSuccess;
}

void Node::Data::wake() {
  const std::lock_guard lock(mutex);
  has_news = true;
  changed.notify_all();
}

void Node::Data::work_loop() {
  const std::chrono::duration<double> retry(options.retry_seconds);
  while (!stopping) {
    bool worked = false;
    try {
      worked = work_once();
    } catch (const std::exception& e) {  // the spool's disk: nothing is lost, but there is no point in hurrying
      log_warning("[node] ", e.what());
    }
    if (worked) continue;
    std::unique_lock lock(mutex);
    changed.wait_for(lock, retry, [this] { return has_news || stopping; });
    has_news = false;
  }
}

// One object worked on, or all results sent that can be. False when there is nothing to do now.
bool Node::Data::work_once() {
  if (const auto key = spool.next()) {
    make_results(*key);
    return true;
  }
  if (Clock::now() < send_again) return false;
  bool sent = false;
  for (const std::string& key : spool.unsent()) {
    if (stopping || Clock::now() < send_again) break;
    send_results(key);
    sent = true;
  }
  return sent && Clock::now() >= send_again;
}

void Node::Data::make_results(const std::string& key) {
  const auto start = Clock::now();
  std::string reason;
  if (!spool.begin_attempt(key)) {
    reason = concat("given up after the node died ", options.spool.max_attempts, " times while working on it");
  } else {
    try {
      process(spool.source(key), spool.fresh_results_folder(key));
      spool.publish_results(key);
    } catch (const std::bad_alloc&) {
      reason = "out of memory";
    } catch (const std::exception& e) {
      reason = e.what();
    }
  }
  if (!reason.empty()) {
    log_warning("[node] failed ", brief(key), ": ", reason);
    return spool.fail(key, reason);
  }
  log_info("[node] finished ", brief(key), " in ",
           std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count(), " ms");
  send_results(key);
}

void Node::Data::send_results(const std::string& key) {
  if (Clock::now() < send_again) return;
  const std::vector<fs::path> files = spool.unsent_results(key);
  std::string refused;
  bool is_complete = true, is_for_later = false;
  try {
    send_files(options.destination, files, {options.scp.ae_title}, [&](std::size_t i, const DeliveryReport& report) {
      if (report.delivery == Delivery::kStored) return spool.mark_sent(files[i]);
      is_complete = false;
      if (report.delivery == Delivery::kRefused) refused = concat(files[i].filename().string(), ": ", report.reason);
      if (report.delivery == Delivery::kTryLater) is_for_later = true;
      log_warning("[node] ", files[i].filename().string(), " of ", brief(key), " was not taken: ", report.reason);
    });
    is_complete = is_complete && spool.unsent_results(key).empty();
  } catch (const Error& e) {
    if (e.code() == ErrorCode::kIo) {
      is_for_later = true;
    } else {
      refused = e.what();
    }
    is_complete = false;
    log_warning("[node] ", e.what());
  }
  if (is_complete) {
    spool.finish(key);
    log_info("[node] sent ", brief(key));
  } else if (!refused.empty() && !is_for_later) {  // every result has its final answer
    spool.fail(key, refused);
  } else {
    send_again = Clock::now() +
                 std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.retry_seconds));
  }
}

Node::Node(const NodeOptions& options, Process process) : data_(std::make_unique<Data>(options, std::move(process))) {
  CMUNET_CHECK(options.retry_seconds > 0, ErrorCode::kInvalidArgument, "[node] retry after ", options.retry_seconds,
               " s; must be positive");
  Data* data = data_.get();
  data->scp.emplace(
      options.scp, data->spool.receiving_folder(),
      [data](const fs::path& file, const ObjectIdentity& identity) { return data->take(file, identity); });
  data->worker = std::thread([data] { data->work_loop(); });
}

Node::~Node() { stop(); }

int Node::port() const { return data_->scp->port(); }

Spool::Counts Node::counts() const { return data_->spool.counts(); }

void Node::stop() {
  data_->stopping = true;
  data_->wake();
  data_->scp->stop();
  if (data_->worker.joinable()) data_->worker.join();
}

}  // namespace cmunet::pacs
