// SPDX-License-Identifier: Apache-2.0
#include "cmunet/pacs/spool.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/hash.h"
#include "cmunet/base/version.h"

namespace cmunet::pacs {
namespace fs = std::filesystem;

namespace {

constexpr const char* kSent = ".sent";

void move(const fs::path& from, const fs::path& to) {
  CMUNET_CHECK(::rename(from.c_str(), to.c_str()) == 0, ErrorCode::kIo, "[spool] moving ", from.string(), " to ",
               to.string(), ": ", std::strerror(errno));
  flush_to_disk(to.parent_path());
  if (from.parent_path() != to.parent_path()) flush_to_disk(from.parent_path());
}

// Entries that `accept` takes, oldest first; ties by name, so that tests and people see one order.
template <typename Accept>
std::vector<fs::path> entries(const fs::path& folder, Accept accept) {
  std::vector<std::pair<fs::file_time_type, fs::path>> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    std::error_code gone;
    const auto time = entry.last_write_time(gone);
    if (!gone && accept(entry.path())) found.emplace_back(time, entry.path());
  }
  std::sort(found.begin(), found.end());
  std::vector<fs::path> paths;
  for (auto& [time, path] : found) paths.push_back(std::move(path));
  return paths;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

int count(const fs::path& folder) {
  return static_cast<int>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

bool has_results(const fs::path& job) { return fs::exists(job / "results") && !fs::is_empty(job / "results"); }

// What is not needed any more once every result was sent.
void remove_files(const fs::path& job) {
  fs::remove(job / "source.dcm");
  fs::remove(job / "attempts");
  fs::remove_all(job / "results");
}

}  // namespace

Spool::Spool(const fs::path& root, const SpoolOptions& options)
    : options_(options),
      receiving_(root / "receiving"),
      incoming_(root / "incoming"),
      working_(root / "working"),
      done_(root / "done"),
      failed_(root / "failed") {
  std::error_code ec;
  for (const fs::path* folder : {&receiving_, &incoming_, &working_, &done_, &failed_}) {
    fs::create_directories(*folder, ec);
    CMUNET_CHECK(!ec, ErrorCode::kIo, "[spool] cannot create ", folder->string(), ": ", ec.message());
  }
  flush_to_disk(root);
  fs::permissions(root, fs::perms::owner_all);  // it holds images of patients
  lock_fd_ = ::open((root / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  CMUNET_CHECK(lock_fd_ >= 0, ErrorCode::kIo, "[spool] cannot create ", (root / "lock").string(), ": ",
               std::strerror(errno));
  if (::flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_fd_);
    throw Error(ErrorCode::kInvalidArgument, concat("[spool] ", root.string(), " is used by another process"),
                "one node per folder; choose another --spool");
  }
  recover();
}

Spool::~Spool() { ::close(lock_fd_); }

void Spool::recover() {
  for (const fs::directory_entry& entry : fs::directory_iterator(receiving_)) fs::remove_all(entry.path());
  for (const fs::directory_entry& entry : fs::directory_iterator(working_)) {
    // Died between making the folder and moving the object into it, which then still waits in incoming/. With results
    // it died while it put a finished object away.
    if (!fs::exists(entry.path() / "source.dcm") && !fs::exists(entry.path() / "results")) fs::remove_all(entry.path());
  }
  if (options_.keep_files) return;
  for (const fs::directory_entry& entry : fs::directory_iterator(done_)) remove_files(entry.path());
}

std::string Spool::key_of(const std::string& sop_instance_uid) { return hash_hex(sop_instance_uid); }

Spool::Taken Spool::take(const fs::path& file, const std::string& sop_instance_uid) {
  const std::lock_guard lock(mutex_);
  const std::string key = key_of(sop_instance_uid);
  const fs::path waiting = incoming_ / (key + ".dcm");
  if (fs::exists(failed_ / key)) {
    if (has_results(failed_ / key)) {  // they were made of the object that is there, and go out as they are
      fs::remove(file);
    } else {  // the sender may have corrected what could not be worked on
      move(file, failed_ / key / "source.dcm");
    }
    move(failed_ / key, working_ / key);
    return Taken::kKnown;
  }
  if (fs::exists(waiting) || fs::exists(working_ / key) || fs::exists(done_ / key)) {
    fs::remove(file);
    return Taken::kKnown;
  }
  if (count(incoming_) + count(working_) >= options_.max_jobs) {
    fs::remove(file);
    return Taken::kFull;
  }
  move(file, waiting);
  return Taken::kStored;
}

std::optional<std::string> Spool::next(const std::set<std::string>& waiting) {
  const std::lock_guard lock(mutex_);
  const auto started = entries(working_, [&](const fs::path& job) {
    return !waiting.contains(job.filename().string()) && fs::exists(job / "source.dcm") && !fs::exists(job / "results");
  });
  if (!started.empty()) return started.front().filename().string();
  const auto come = entries(incoming_, [](const fs::path& file) { return file.extension() == ".dcm"; });
  if (come.empty()) return std::nullopt;
  const std::string key = come.front().stem().string();
  fs::create_directories(working_ / key);
  flush_to_disk(working_);  // before the object is in it: a folder that a loss of power undoes would take it along
  move(come.front(), working_ / key / "source.dcm");
  return key;
}

bool Spool::begin_attempt(const std::string& key) {
  const fs::path file = working_ / key / "attempts";
  const std::string before = fs::exists(file) ? read_file(file) : "";
  if (static_cast<int>(before.size()) >= options_.max_attempts) return false;
  write_file_atomic(file, before + ".");
  return true;
}

void Spool::forget_attempt(const std::string& key) {
  const fs::path file = working_ / key / "attempts";
  fs::resize_file(file, fs::file_size(file) - 1);  // which a full disk allows
}

fs::path Spool::source(const std::string& key) const { return working_ / key / "source.dcm"; }

fs::path Spool::fresh_results_folder(const std::string& key) {
  fs::path folder = working_ / key / "results.tmp";
  fs::remove_all(folder);
  fs::create_directory(folder);
  return folder;
}

void Spool::drop_results(const std::string& key) {
  std::error_code ignored;
  fs::remove_all(working_ / key / "results.tmp", ignored);
}

void Spool::publish_results(const std::string& key) {
  const fs::path folder = working_ / key / "results.tmp";
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) flush_to_disk(entry.path());
  flush_to_disk(folder);
  const std::lock_guard lock(mutex_);
  move(folder, working_ / key / "results");
}

std::vector<std::string> Spool::unsent() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> keys;
  for (const fs::path& job : entries(working_, [](const fs::path& path) { return fs::exists(path / "results"); })) {
    keys.push_back(job.filename().string());
  }
  return keys;
}

std::vector<fs::path> Spool::unsent_results(const std::string& key) const {
  std::vector<fs::path> results;
  for (const fs::directory_entry& entry : fs::directory_iterator(working_ / key / "results")) {
    if (entry.path().extension() != kSent) results.push_back(entry.path());
  }
  std::sort(results.begin(), results.end());
  return results;
}

void Spool::mark_sent(const fs::path& result) { move(result, result.string() + kSent); }

void Spool::finish(const std::string& key) {
  if (!options_.keep_files) fs::remove(working_ / key / "source.dcm");  // first, since the record may need the room
  Json names = Json::array();
  for (const fs::path& result : entries(working_ / key / "results", [](const fs::path&) { return true; })) {
    names.push_back(result.stem().string());
  }
  move_on(key, done_ / key, {{"sent", names}});
  if (!options_.keep_files) remove_files(done_ / key);
}

void Spool::fail(const std::string& key, const std::string& reason) {
  move_on(key, failed_ / key, {{"reason", reason}});
}

void Spool::move_on(const std::string& key, const fs::path& to, Json record) {
  record["time"] = utc_now();
  record["disclaimer"] = kDisclaimer;
  save_json(working_ / key / "record.json", record);
  fs::remove(working_ / key / "attempts");  // an object that is sent again begins anew
  const std::lock_guard lock(mutex_);
  move(working_ / key, to);
}

Spool::Counts Spool::counts() const {
  const std::lock_guard lock(mutex_);
  return {count(incoming_), count(working_), count(done_), count(failed_)};
}

}  // namespace cmunet::pacs
