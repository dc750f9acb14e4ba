// SPDX-License-Identifier: Apache-2.0
// The whole node on loopback with a stand-in for the work, and what survives kill -9.
#include "cmunet/pacs/node.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "cmunet/base/error.h"
#include "cmunet/base/log.h"
#include "cmunet/base/random.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/pacs/sample_object.h"
#include "cmunet/pacs/uid.h"

namespace cmunet::pacs {
namespace {
namespace fs = std::filesystem;
using namespace std::chrono_literals;

// (0002,0003) of a file with our header.
std::string uid_of(const fs::path& file) {
  const std::string text = read_file(file);
  const std::size_t at = text.find(std::string("\2\0\3\0UI", 6));
  const auto length = static_cast<std::size_t>(static_cast<unsigned char>(text.at(at + 6)));
  const std::string uid = text.substr(at + 8, length);
  return uid.substr(0, uid.find('\0'));
}

// Makes two results, whose UIDs follow from the source and whose pixels do not: made twice, they would differ.
void make_two(const fs::path& source, const fs::path& results) {
  static Rng random(static_cast<std::uint64_t>(::getpid()));
  for (const char* role : {"seg", "sr"}) {
    const std::string uid = derive_uid(uid_of(source), role);
    std::string text = file_header({kXaClass, uid, kExplicitLittleEndian}) + sample_data_set(uid, 16);
    text.back() = static_cast<char>(random.below(256));
    write_file_atomic(results / (std::string(role) + ".dcm"), text);
  }
}

// Where results go: remembers every object that it acknowledges.
class Destination {
 public:
  Destination()
      : scp_({.port = 0, .allowed = {parse_allowed_peer("CMUNET@127.0.0.1")}}, folder_.path(),
             [this](const fs::path& file, const ObjectIdentity& identity) {
               const std::lock_guard lock(mutex_);
               contents_[identity.sop_instance_uid].insert(read_file(file));
               ++arrivals_;
               fs::remove(file);
               const auto own = answers_.find(identity.sop_instance_uid);
               return own == answers_.end() ? answer_ : own->second;
             }) {}

  Peer peer() const { return {"CMUNET", "127.0.0.1", scp_.port()}; }
  void set_answer(StoreStatus answer) {
    const std::lock_guard lock(mutex_);
    answer_ = answer;
  }
  void set_answer_to(const std::string& uid, StoreStatus answer) {
    const std::lock_guard lock(mutex_);
    answers_[uid] = answer;
  }
  int arrivals() {
    const std::lock_guard lock(mutex_);
    return arrivals_;
  }
  std::map<std::string, std::set<std::string>> contents() {
    const std::lock_guard lock(mutex_);
    return contents_;
  }

 private:
  ScratchFolder folder_;
  std::mutex mutex_;
  std::map<std::string, std::set<std::string>> contents_;
  int arrivals_ = 0;
  StoreStatus answer_ = StoreStatus::kSuccess;
  std::map<std::string, StoreStatus> answers_;  // to objects with an answer of their own
  StoreScp scp_;
};

NodeOptions options_for(const fs::path& spool, const Peer& destination) {
  NodeOptions options;
  options.scp.port = 0;
  options.scp.allowed = {parse_allowed_peer("SENDER@127.0.0.1")};
  options.spool_folder = spool;
  options.destination = destination;
  options.retry_seconds = 0.1;
  return options;
}

bool send_one(const fs::path& file, int port) {
  bool stored = false;
  try {
    send_files({"CMUNET", "127.0.0.1", port}, std::span(&file, 1), {"SENDER", 2, 5},
               [&](std::size_t, const DeliveryReport& report) { stored = report.delivery == Delivery::kStored; });
  } catch (const Error&) {
  }
  return stored;
}

bool wait_until(const std::function<bool()>& condition, std::chrono::seconds patience = 15s) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(10ms);
  }
  return true;
}

TEST(Node, SendsTheResultsOfWhatItGets) {
  const ScratchFolder folder;
  Destination destination;
  Node node(options_for(folder / "spool", destination.peer()), make_two);
  for (const char* uid : {"1.2.1", "1.2.2", "1.2.1"}) {
    EXPECT_TRUE(send_one(write_sample(folder.path(), uid), node.port()));
  }
  ASSERT_TRUE(wait_until([&] { return node.counts().done == 2; }));
  EXPECT_EQ(destination.arrivals(), 4);
  EXPECT_TRUE(destination.contents().contains(derive_uid("1.2.1", "seg")));
  EXPECT_TRUE(destination.contents().contains(derive_uid("1.2.2", "sr")));
}

TEST(Node, TakesNothingThatIsMadeToExhaustItsReader) {
  const ScratchFolder folder;
  Destination destination;
  Node node(options_for(folder / "spool", destination.peer()), make_two);
  std::string nested, ends;
  for (int i = 0; i < 60; ++i) {  // Referenced Frame of Reference Sequence, of undefined length as its items
    nested += std::string("\6\x30\x10\0SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff", 20);
    ends += std::string("\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0", 16);
  }
  write_file_atomic(folder / "nested.dcm", file_header({kXaClass, "1.2.1", kExplicitLittleEndian}) +
                                               element(0x08, 0x16, "UI", kXaClass) +
                                               element(0x08, 0x18, "UI", "1.2.1") + nested + ends);
  const fs::path hostile = folder / "nested.dcm";
  std::uint16_t status = 0;
  send_files({"CMUNET", "127.0.0.1", node.port()}, std::span(&hostile, 1), {"SENDER", 2, 5},
             [&](std::size_t, const DeliveryReport& report) { status = report.status; });
  EXPECT_EQ(status, static_cast<std::uint16_t>(StoreStatus::kCannotStore));
  EXPECT_TRUE(fs::is_empty(folder / "spool/receiving"));
  EXPECT_TRUE(send_one(write_sample(folder.path(), "1.2.1"), node.port()));
  ASSERT_TRUE(wait_until([&] { return node.counts().done == 1; }));
  EXPECT_EQ(node.counts().failed, 0);
}

TEST(Node, KeepsResultsUntilTheDestinationTakesThem) {
  const ScratchFolder folder;
  Destination destination;
  destination.set_answer(StoreStatus::kOutOfResources);
  {
    Node node(options_for(folder / "spool", destination.peer()), make_two);
    EXPECT_TRUE(send_one(write_sample(folder.path(), "1.2.1"), node.port()));
    ASSERT_TRUE(wait_until([&] { return destination.arrivals() >= 4; }));
    EXPECT_EQ(node.counts().working, 1);
  }
  const NodeOptions options = options_for(folder / "spool", destination.peer());
  destination.set_answer(StoreStatus::kSuccess);
  Node node(options, [](const fs::path&, const fs::path&) { FAIL() << "results are made once"; });
  ASSERT_TRUE(wait_until([&] { return node.counts().done == 1; }));
  for (const auto& [uid, contents] : destination.contents()) EXPECT_EQ(contents.size(), 1U) << uid;
}

TEST(Node, WorksWhileTheDestinationIsAway) {
  const ScratchFolder folder;
  int port = 0;
  { port = Destination().peer().port; }
  NodeOptions options = options_for(folder / "spool", {"CMUNET", "127.0.0.1", port});
  Node node(options, make_two);
  for (const char* uid : {"1.2.1", "1.2.2"}) EXPECT_TRUE(send_one(write_sample(folder.path(), uid), node.port()));
  const auto has_results = [&](const std::string& uid) {
    return fs::exists(folder / "spool" / "working" / Spool::key_of(uid) / "results");
  };
  EXPECT_TRUE(wait_until([&] { return has_results("1.2.1") && has_results("1.2.2"); }));
  EXPECT_EQ(node.counts().done, 0);
}

TEST(Node, SetsAsideWhatCannotBeWorkedOnOrIsNotWanted) {
  const ScratchFolder folder;
  Destination destination;
  Node node(options_for(folder / "spool", destination.peer()), [](const fs::path& source, const fs::path& results) {
    if (uid_of(source) == "1.2.1") throw Error(ErrorCode::kUnsupported, "[test] no vessel");
    make_two(source, results);
  });
  EXPECT_TRUE(send_one(write_sample(folder.path(), "1.2.1"), node.port()));
  ASSERT_TRUE(wait_until([&] { return node.counts().failed == 1; }));
  destination.set_answer(StoreStatus::kCannotStore);
  EXPECT_TRUE(send_one(write_sample(folder.path(), "1.2.2"), node.port()));
  ASSERT_TRUE(wait_until([&] { return node.counts().failed == 2; }));
  destination.set_answer(StoreStatus::kSuccess);
  EXPECT_TRUE(send_one(folder / "1.2.2.dcm", node.port()));  // sent again: tried again
  ASSERT_TRUE(wait_until([&] { return node.counts().done == 1; }));
  EXPECT_EQ(node.counts().failed, 1);
}

TEST(Node, ARefusedResultDoesNotKeepBackAnother) {
  const ScratchFolder folder;
  Destination destination;
  const std::string seg = derive_uid("1.2.1", "seg"), sr = derive_uid("1.2.1", "sr");
  destination.set_answer_to(seg, StoreStatus::kCannotStore);
  destination.set_answer_to(sr, StoreStatus::kOutOfResources);
  Node node(options_for(folder / "spool", destination.peer()), make_two);
  EXPECT_TRUE(send_one(write_sample(folder.path(), "1.2.1"), node.port()));
  ASSERT_TRUE(wait_until([&] { return destination.arrivals() >= 4; }));  // both twice
  EXPECT_EQ(node.counts().failed, 0);
  destination.set_answer_to(sr, StoreStatus::kSuccess);
  ASSERT_TRUE(wait_until([&] { return node.counts().failed == 1; }));
  const fs::path results = folder / "spool" / "failed" / Spool::key_of("1.2.1") / "results";
  EXPECT_TRUE(fs::exists(results / "seg.dcm"));
  EXPECT_TRUE(fs::exists(results / "sr.dcm.sent"));
}

TEST(Node, AResultThatIsNotTakenDoesNotKeepBackAnotherObjects) {
  const ScratchFolder folder;
  Destination destination;
  for (const char* role : {"seg", "sr"})
    destination.set_answer_to(derive_uid("1.2.1", role), StoreStatus::kOutOfResources);
  NodeOptions options = options_for(folder / "spool", destination.peer());
  options.max_tries = 3;
  Node node(options, make_two);
  EXPECT_TRUE(send_one(write_sample(folder.path(), "1.2.1"), node.port()));
  ASSERT_TRUE(wait_until([&] { return destination.arrivals() >= 2; }));
  EXPECT_TRUE(send_one(write_sample(folder.path(), "1.2.2"), node.port()));
  ASSERT_TRUE(wait_until([&] { return node.counts().done == 1; }));
  EXPECT_TRUE(destination.contents().contains(derive_uid("1.2.2", "sr")));
  ASSERT_TRUE(wait_until([&] { return node.counts().failed == 1; }));  // after three tries, with all that it had
  const fs::path failed = folder / "spool" / "failed" / Spool::key_of("1.2.1");
  EXPECT_THAT(load_json(failed / "record.json")["reason"], testing::HasSubstr("not delivered in 3 tries"));
  EXPECT_TRUE(fs::exists(failed / "source.dcm") && fs::exists(failed / "results/seg.dcm"));
  EXPECT_EQ(destination.arrivals(), 2 + 3 * 2);
}

TEST(Node, WaitsForMemoryAndDisk) {
  const ScratchFolder folder;
  Destination destination;
  std::map<std::string, int> tries;  // of the worker alone, until the node has stopped
  const auto work = [&](const fs::path& source, const fs::path& results) {
    const std::string uid = uid_of(source);
    const int before = tries[uid]++;
    if (uid == "1.2.1" && before < 4) throw Error(ErrorCode::kIo, "[test] no space left on device");
    if (uid == "1.2.2" && before < 1) throw std::bad_alloc();
    if (uid == "1.2.3" && before < 1) throw Error(ErrorCode::kOutOfMemory, "[test] too large for the device");
    make_two(source, results);
  };
  NodeOptions options = options_for(folder / "spool", destination.peer());
  options.retry_seconds = 0.05;
  options.spool.max_attempts = 2;
  {
    Node node(options, work);
    for (const char* uid : {"1.2.1", "1.2.2", "1.2.3"}) send_one(write_sample(folder.path(), uid), node.port());
    ASSERT_TRUE(wait_until([&] { return node.counts().done == 3; }));
    EXPECT_EQ(node.counts().failed, 0);
  }
  EXPECT_EQ(tries["1.2.1"], 5);
}

TEST(Node, SendsThoughAnotherObjectCannotBeTakenUp) {
  const ScratchFolder folder;
  Destination destination;
  destination.set_answer_to(derive_uid("1.2.1", "sr"), StoreStatus::kOutOfResources);
  NodeOptions options = options_for(folder / "spool", destination.peer());
  options.retry_seconds = 0.05;
  Node node(options, make_two);
  EXPECT_TRUE(send_one(write_sample(folder.path(), "1.2.1"), node.port()));
  ASSERT_TRUE(wait_until([&] { return destination.arrivals() >= 2; }));
  const std::string stuck = Spool::key_of("1.2.2");
  write_file_atomic(folder / "spool/working" / stuck, "no folder can be made here");
  fs::rename(write_sample(folder.path(), "1.2.2"), folder / "spool/incoming" / (stuck + ".dcm"));
  destination.set_answer_to(derive_uid("1.2.1", "sr"), StoreStatus::kSuccess);
  EXPECT_TRUE(wait_until([&] { return node.counts().done == 1; }));
  EXPECT_TRUE(fs::exists(folder / "spool/incoming" / (stuck + ".dcm")));
}

TEST(Node, TriesAnErrorOfTheProgramAFewTimes) {
  const ScratchFolder folder;
  Destination destination;
  std::map<std::string, int> tries;  // of the worker alone, until the node has stopped
  const auto work = [&](const fs::path& source, const fs::path& results) {
    const std::string uid = uid_of(source);
    ++tries[uid];
    if (uid == "1.2.1" || tries[uid] < 2) throw Error(ErrorCode::kInternal, "[test] a bug");
    make_two(source, results);
  };
  {
    Node node(options_for(folder / "spool", destination.peer()), work);
    for (const char* uid : {"1.2.1", "1.2.2"}) send_one(write_sample(folder.path(), uid), node.port());
    ASSERT_TRUE(wait_until([&] { return node.counts().done == 1 && node.counts().failed == 1; }));
  }
  EXPECT_EQ(tries["1.2.1"], 3);
  EXPECT_EQ(tries["1.2.2"], 2);
  const fs::path failed = folder / "spool" / "failed" / Spool::key_of("1.2.1");
  EXPECT_THAT(load_json(failed / "record.json")["reason"], testing::HasSubstr("3 tries: [test] a bug"));
}

TEST(Node, LogsIdentifyNobody) {
  std::mutex mutex;
  std::string log;
  set_log_sink([&](LogLevel, std::string_view text) {
    const std::lock_guard lock(mutex);
    log += std::string(text) + "\n";
  });
  {
    const ScratchFolder folder;
    Destination destination;
    Node node(options_for(folder / "spool", destination.peer()), make_two);
    EXPECT_TRUE(send_one(write_sample(folder.path(), "1.2.777"), node.port()));
    ASSERT_TRUE(wait_until([&] { return node.counts().done == 1; }));
  }
  set_log_sink({});
  EXPECT_THAT(log, testing::HasSubstr("received"));
  for (const char* planted : {"PLANTED", "1.2.777", "1.2.3.4"})
    EXPECT_THAT(log, testing::Not(testing::HasSubstr(planted)));
}

// The node as a process of its own, for the test below: this program run again with its options in the environment.
TEST(NodeChild, RunsUntilItIsKilled) {
  const char* spool = std::getenv("CMUNET_TEST_NODE_SPOOL");
  if (spool == nullptr) GTEST_SKIP() << "only as the child of NodeKilled";
  NodeOptions options = options_for(spool, parse_peer(std::getenv("CMUNET_TEST_NODE_DESTINATION")));
  options.scp.port = std::atoi(std::getenv("CMUNET_TEST_NODE_PORT"));
  options.spool.max_attempts = 1000;
  const Node node(options, [](const fs::path& source, const fs::path& results) {
    make_two(source, results);
    std::this_thread::sleep_for(15ms);
  });
  while (true) ::pause();
}

class Child {
 public:
  Child(const fs::path& spool, int port, const Peer& destination) {
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::setenv("CMUNET_TEST_NODE_SPOOL", spool.c_str(), 1);
    ::setenv("CMUNET_TEST_NODE_PORT", std::to_string(port).c_str(), 1);
    ::setenv("CMUNET_TEST_NODE_DESTINATION",
             concat(destination.ae_title, "@", destination.host, ":", destination.port).c_str(), 1);
    ::execl("/proc/self/exe", "node", "--gtest_filter=NodeChild.*", "--gtest_brief=1", nullptr);
    ::_exit(127);
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

 private:
  pid_t pid_;
};

TEST(NodeKilled, LosesNothingAndSendsNothingElse) {
  const char* wanted = std::getenv("CMUNET_TEST_NODE_KILLS");
  const int kills = wanted != nullptr ? std::atoi(wanted) : 20, objects = kills;
  const ScratchFolder folder;
  const fs::path spool = folder / "spool";
  Destination destination;
  int port = 0;
  { port = Destination().peer().port; }
  std::atomic<int> acknowledged{0};
  std::thread sender([&] {
    for (int i = 0; i < objects; ++i) {
      const fs::path file = write_sample(folder.path(), "1.2." + std::to_string(i), 64);
      while (!send_one(file, port)) std::this_thread::sleep_for(5ms);
      ++acknowledged;
    }
  });
  Rng random(11);
  for (int i = 0; i < kills; ++i) {
    const Child child(spool, port, destination.peer());
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random.below(400)));
  }
  const Child child(spool, port, destination.peer());
  sender.join();
  EXPECT_EQ(acknowledged, objects);
  const auto is_done = [&] {
    return fs::exists(spool / "done") && std::distance(fs::directory_iterator(spool / "done"), {}) == objects;
  };
  ASSERT_TRUE(wait_until(is_done, 60s));
  const auto contents = destination.contents();
  EXPECT_EQ(contents.size(), static_cast<std::size_t>(2 * objects));
  for (int i = 0; i < objects; ++i) {
    for (const char* role : {"seg", "sr"}) {
      EXPECT_TRUE(contents.contains(derive_uid("1.2." + std::to_string(i), role))) << i << role;
    }
  }
  for (const auto& [uid, versions] : contents) EXPECT_EQ(versions.size(), 1U) << uid;
  // A death between the receiver's answer and its record repeats one transmission, of the same bytes.
  const int repeated = destination.arrivals() - 2 * objects;
  EXPECT_LE(repeated, kills);
  std::printf("%d kills, %d objects, %d transmissions repeated\n", kills, objects, repeated);
  EXPECT_TRUE(fs::is_empty(spool / "failed"));
}

}  // namespace
}  // namespace cmunet::pacs
