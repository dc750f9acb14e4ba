// SPDX-License-Identifier: Apache-2.0
#include "cmunet/pacs/node.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <system_error>
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

// An object that was tried in vain, and when it may be tried again.
struct Retry {
  int tries = 0;
  int errors = 0;  // of the program, among them
  Clock::time_point due;
};

// What an attempt to make results ended by: the object, which stays as it is; the machine, which may have more memory
// or disk another time; or the program.
enum class Fault { kOfObject, kOfMachine, kOfProgram };

Fault fault_of(const Error& e) {
  switch (e.code()) {
    case ErrorCode::kCorrupt:
    case ErrorCode::kUnsupported:
    case ErrorCode::kInvalidArgument: return Fault::kOfObject;
    case ErrorCode::kIo:
    case ErrorCode::kOutOfMemory: return Fault::kOfMachine;
    default: return Fault::kOfProgram;
  }
}

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
  // Of the worker alone: when anything may be made, when any association may be asked for, and when each object that
  // was tried in vain has its turn again, so that none keeps back the others.
  Clock::time_point make_again = Clock::now(), send_again = Clock::now();
  std::map<std::string, Retry> retries;
  std::thread worker;

  Data(const NodeOptions& given, Process work)
      : options(given), process(std::move(work)), spool(given.spool_folder, given.spool) {}

  StoreStatus take(const fs::path& file, const ObjectIdentity& identity);
  void wake();
  void work_loop();
  bool work_once();
  bool is_due(const std::string& key) const;
  Clock::duration pause(int tries) const;
  int try_later(const std::string& key);
  std::optional<std::string> next_to_make();
  std::optional<std::string> next_to_send() const;
  void make_results(const std::string& key);
  void not_made(const std::string& key, Fault fault, const std::string& reason);
  void wait_for_machine(const std::string& reason);
  void send_results(const std::string& key);
  void not_sent(const std::string& key, const std::string& reason);
  void give_up(const std::string& key, const std::string& reason);
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

// One object worked on, or the results of one sent. False when there is nothing to do now.
bool Node::Data::work_once() {
  std::optional<std::string> to_make;
  try {
    to_make = next_to_make();
  } catch (const std::exception& e) {  // a full disk: sending may make room
    wait_for_machine(e.what());
  }
  if (to_make) {
    make_results(*to_make);
    return true;
  }
  if (const auto key = next_to_send()) {
    send_results(*key);
    return true;
  }
  return false;
}

bool Node::Data::is_due(const std::string& key) const {
  const auto retry = retries.find(key);
  return retry == retries.end() || retry->second.due <= Clock::now();
}

// Doubled with every try, up to 64 times the first.
Clock::duration Node::Data::pause(int tries) const {
  const double times = static_cast<double>(1 << std::clamp(tries - 1, 0, 6));
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.retry_seconds * times));
}

// How often it was tried.
int Node::Data::try_later(const std::string& key) {
  Retry& retry = retries[key];
  ++retry.tries;
  retry.due = Clock::now() + pause(retry.tries);
  return retry.tries;
}

std::optional<std::string> Node::Data::next_to_make() {
  if (Clock::now() < make_again) return std::nullopt;
  std::set<std::string> waiting;
  for (const auto& [key, retry] : retries) {
    if (!is_due(key)) waiting.insert(key);
  }
  return spool.next(waiting);
}

// Those that were not tried yet first, then whose turn came first.
std::optional<std::string> Node::Data::next_to_send() const {
  if (Clock::now() < send_again) return std::nullopt;
  std::optional<std::string> next;
  Clock::time_point least = Clock::time_point::max();
  for (const std::string& key : spool.unsent()) {
    const auto retry = retries.find(key);
    const Clock::time_point due = retry == retries.end() ? Clock::time_point::min() : retry->second.due;
    if (due <= Clock::now() && due < least) next = key, least = due;
  }
  return next;
}

void Node::Data::wait_for_machine(const std::string& reason) {
  make_again = Clock::now() + pause(1);  // a full disk is full for the next object too
  log_warning("[node] work waits: ", reason);
}

void Node::Data::make_results(const std::string& key) {
  const auto start = Clock::now();
  bool may_try = false;
  try {
    may_try = spool.begin_attempt(key);
  } catch (const std::exception& e) {  // nothing was counted
    return wait_for_machine(e.what());
  }
  if (!may_try) {
    return give_up(key, concat("given up after the node died or made an error ", options.spool.max_attempts,
                               " times while working on it"));
  }
  try {
    process(spool.source(key), spool.fresh_results_folder(key));
    spool.publish_results(key);
  } catch (const std::bad_alloc&) {
    return not_made(key, Fault::kOfMachine, "out of memory");
  } catch (const Error& e) {
    return not_made(key, fault_of(e), e.what());
  } catch (const std::system_error& e) {  // of files or threads; its text may name a file
    return not_made(key, Fault::kOfMachine, e.code().message());
  } catch (const std::exception& e) {
    return not_made(key, Fault::kOfProgram, e.what());
  }
  retries.erase(key);
  log_info("[node] finished ", brief(key), " in ",
           std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count(), " ms");
  send_results(key);
}

void Node::Data::not_made(const std::string& key, Fault fault, const std::string& reason) {
  if (fault == Fault::kOfObject) return give_up(key, reason);
  spool.drop_results(key);
  if (fault == Fault::kOfMachine) spool.forget_attempt(key);
  const int tries = try_later(key), errors = retries[key].errors += fault == Fault::kOfProgram ? 1 : 0;
  if (tries >= options.max_tries || errors >= options.spool.max_attempts) {
    return give_up(key, concat("given up after ", tries, " tries: ", reason));
  }
  if (fault == Fault::kOfMachine) wait_for_machine(reason);
  log_warning("[node] ", brief(key), " waits for another try: ", reason);
}

void Node::Data::send_results(const std::string& key) {
  if (Clock::now() < send_again) return;
  const std::vector<fs::path> files = spool.unsent_results(key);
  std::string refused, later;
  bool is_associated = false;
  try {
    send_files(options.destination, files, {options.scp.ae_title}, [&](std::size_t i, const DeliveryReport& report) {
      is_associated = true;
      if (report.delivery == Delivery::kStored) return spool.mark_sent(files[i]);
      const std::string what = concat(files[i].filename().string(), ": ", report.reason);
      (report.delivery == Delivery::kRefused ? refused : later) = what;
      log_warning("[node] ", files[i].filename().string(), " of ", brief(key), " was not taken: ", report.reason);
    });
  } catch (const Error& e) {
    (e.code() == ErrorCode::kIo ? later : refused) = e.what();
    log_warning("[node] ", e.what());
    if (e.code() == ErrorCode::kIo && !is_associated) {  // nobody is there: no object's fault, and no try of it
      send_again = Clock::now() + pause(1);
      retries[key].due = send_again;  // another one asks the next time, should it lie in what this one offers
      return;
    }
  }
  if (!later.empty()) return not_sent(key, later);
  if (!refused.empty()) return give_up(key, refused);  // every result has its final answer
  spool.finish(key);
  retries.erase(key);
  log_info("[node] sent ", brief(key));
}

void Node::Data::not_sent(const std::string& key, const std::string& reason) {
  const int tries = try_later(key);
  if (tries >= options.max_tries) give_up(key, concat("not delivered in ", tries, " tries: ", reason));
}

void Node::Data::give_up(const std::string& key, const std::string& reason) {
  log_warning("[node] failed ", brief(key), ", kept in failed/: ", reason);
  spool.fail(key, reason);
  retries.erase(key);
}

Node::Node(const NodeOptions& options, Process process) : data_(std::make_unique<Data>(options, std::move(process))) {
  CMUNET_CHECK(options.retry_seconds > 0, ErrorCode::kInvalidArgument, "[node] retry after ", options.retry_seconds,
               " s; must be positive");
  CMUNET_CHECK(options.max_tries > 0, ErrorCode::kInvalidArgument, "[node] ", options.max_tries,
               " tries; must be positive");
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
