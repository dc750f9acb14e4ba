// SPDX-License-Identifier: Apache-2.0
// Storage service and sender against each other on loopback, and the service against hostile callers.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <mutex>
#include <thread>

#include "cmunet/base/error.h"
#include "cmunet/base/random.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/pacs/sample_object.h"
#include "cmunet/pacs/store_scp.h"
#include "cmunet/pacs/store_scu.h"

namespace cmunet::pacs {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

StoreScpOptions loopback() {
  StoreScpOptions options;
  options.port = 0;
  options.allowed = {parse_allowed_peer("SENDER@127.0.0.1")};
  options.stop_grace_seconds = 2;
  return options;
}

// A service that keeps what it gets below its folder, and a sender for it.
class Service {
 public:
  explicit Service(const StoreScpOptions& options)
      : scp_(options, folder_.path(), [this](const fs::path& file, const ObjectIdentity& identity) {
          const std::lock_guard lock(mutex_);
          fs::rename(file, folder_ / identity.sop_instance_uid);
          ++count_;
          return StoreStatus::kSuccess;
        }) {}

  Peer peer() const { return {"CMUNET", "127.0.0.1", scp_.port()}; }
  fs::path kept(const std::string& uid) const { return folder_ / uid; }
  int count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  std::vector<DeliveryReport> send(const std::vector<fs::path>& files, const std::string& title = "SENDER") {
    std::vector<DeliveryReport> reports;
    send_files(peer(), files, {title}, [&](std::size_t, const DeliveryReport& report) { reports.push_back(report); });
    return reports;
  }
  bool is_alive() {
    send_echo(peer(), {"SENDER"});
    return true;
  }
  bool has_leftovers() const {
    return std::any_of(fs::directory_iterator(folder_.path()), fs::directory_iterator(),
                       [](const fs::directory_entry& entry) { return entry.path().extension() == ".part"; });
  }
  StoreScp& scp() { return scp_; }

 private:
  ScratchFolder folder_;
  std::mutex mutex_;
  int count_ = 0;
  StoreScp scp_;
};

std::string reason_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

int connect_raw(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(static_cast<std::uint16_t>(port));
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&place), sizeof place), 0);
  const timeval patience{20, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

// True when the other side closes (or answers and closes) within the socket's patience.
bool is_closed(int fd) {
  char buffer[4096];
  ssize_t n = 0;
  while ((n = ::recv(fd, buffer, sizeof buffer, 0)) > 0) {
  }
  const bool closed = n == 0 || errno == ECONNRESET;
  ::close(fd);
  return closed;
}

TEST(Store, ArrivesByteForByte) {
  const ScratchFolder folder;
  Service service(loopback());
  EXPECT_TRUE(service.is_alive());
  const auto reports = service.send({write_sample(folder.path(), "1.2.3"), write_sample(folder.path(), "1.2.4", 700)});
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_EQ(reports[0].delivery, Delivery::kStored);
  EXPECT_EQ(reports[1].delivery, Delivery::kStored);
  EXPECT_EQ(read_file(service.kept("1.2.3")), read_file(folder / "1.2.3.dcm"));
  EXPECT_EQ(read_file(service.kept("1.2.4")), read_file(folder / "1.2.4.dcm"));
  EXPECT_FALSE(service.has_leftovers());
}

TEST(Store, LeavesNothingOfAnObjectThatCannotBeHandedOver) {
  const ScratchFolder folder, receiving;
  StoreScp scp(loopback(), receiving.path(), [](const fs::path& file, const ObjectIdentity&) -> StoreStatus {
    EXPECT_TRUE(fs::exists(file));
    throw Error(ErrorCode::kIo, "[test] the disk is full");
  });
  const fs::path sent = write_sample(folder.path(), "1.2.3");
  std::uint16_t status = 0;
  send_files({"CMUNET", "127.0.0.1", scp.port()}, std::span(&sent, 1), {"SENDER"},
             [&](std::size_t, const DeliveryReport& report) { status = report.status; });
  EXPECT_EQ(status, static_cast<std::uint16_t>(StoreStatus::kOutOfResources));
  EXPECT_TRUE(fs::is_empty(receiving.path()));
}

TEST(Store, TakesCompressedObjectsAsTheyAre) {
  const fs::path derived = fs::path(CMUNET_SHARED_DATA) / "dicom_xa" / "derived";
  if (!fs::exists(derived)) GTEST_SKIP() << derived << " is not here";
  Service service(loopback());
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(derived)) {
    if (entry.path().extension() == ".dcm") files.push_back(entry.path());
  }
  ASSERT_FALSE(files.empty());
  for (const fs::path& file : files) {
    const auto reports = service.send({file});
    EXPECT_EQ(reports.front().delivery, Delivery::kStored) << file << ": " << reports.front().reason;
  }
}

TEST(Store, RefusesUnknownTitles) {
  const ScratchFolder folder;
  Service service(loopback());
  const std::vector<fs::path> files{write_sample(folder.path(), "1.2.3")};
  EXPECT_THAT(reason_of([&] { service.send(files, "STRANGER"); }), HasSubstr("does not know our AE title"));
  Peer wrong = service.peer();
  wrong.ae_title = "SOMEBODY";
  EXPECT_THAT(reason_of([&] { send_echo(wrong, {"SENDER"}); }), HasSubstr("it has another AE title"));
  EXPECT_EQ(service.count(), 0);
  EXPECT_TRUE(service.is_alive());
}

TEST(Store, AnswersNobodyFromOtherAddresses) {
  StoreScpOptions options = loopback();
  options.allowed = {parse_allowed_peer("SENDER@127.0.0.2")};
  Service service(options);
  EXPECT_TRUE(is_closed(connect_raw(service.peer().port)));
  EXPECT_THROW(service.is_alive(), Error);
}

TEST(Store, ListensOnLoopbackAlone) {
  const Service service(loopback());
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(static_cast<std::uint16_t>(service.peer().port));
  place.sin_addr.s_addr = htonl(0x7F000002);  // 127.0.0.2: ours as well, but not what was bound
  EXPECT_NE(::connect(fd, reinterpret_cast<const sockaddr*>(&place), sizeof place), 0);
  ::close(fd);
}

TEST(Store, RefusesTooLargeObjectsAndGoesOn) {
  const ScratchFolder folder;
  StoreScpOptions options = loopback();
  options.max_object_bytes = 10'000;
  Service service(options);
  const auto reports = service.send({write_sample(folder.path(), "1.2.1", 150), write_sample(folder.path(), "1.2.2")});
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_EQ(reports[0].delivery, Delivery::kTryLater);
  EXPECT_EQ(reports[0].status, 0xA700);
  EXPECT_EQ(reports[1].delivery, Delivery::kStored);
  const auto cut = service.send({write_sample(folder.path(), "1.2.3", 1000)});  // beyond what is read to be polite
  EXPECT_EQ(cut.front().delivery, Delivery::kTryLater);
  EXPECT_EQ(service.count(), 1);
  EXPECT_TRUE(service.is_alive());
  EXPECT_FALSE(service.has_leftovers());
}

TEST(Store, RefusesTooManyAssociations) {
  StoreScpOptions options = loopback();
  options.max_associations = 2;
  options.idle_seconds = 1;
  Service service(options);
  // Two callers that say nothing after their association: a request that storescu-like tools make, written by hand.
  const auto sub = [](int type, const std::string& value) {
    return std::string{static_cast<char>(type), '\0', static_cast<char>(value.size() >> 8),
                       static_cast<char>(value.size() & 0xFF)} +
           value;
  };
  const std::string context =
      sub(0x20, std::string("\1\0\0\0", 4) + sub(0x30, "1.2.840.10008.1.1") + sub(0x40, "1.2.840.10008.1.2"));
  const std::string body = std::string("\0\1\0\0", 4) + "CMUNET          " + "SENDER          " +
                           std::string(32, '\0') + sub(0x10, "1.2.840.10008.3.1.1.1") + context +
                           sub(0x50, sub(0x51, std::string("\0\0\x40\0", 4)) + sub(0x52, "1.2.3"));
  const std::string request =
      std::string{'\1', '\0', '\0', '\0', static_cast<char>(body.size() >> 8), static_cast<char>(body.size() & 0xFF)} +
      body;
  std::vector<int> silent;
  for (int i = 0; i < 2; ++i) {
    silent.push_back(connect_raw(service.peer().port));
    ASSERT_EQ(::send(silent.back(), request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    char type = 0;
    ASSERT_EQ(::recv(silent.back(), &type, 1, 0), 1);
    ASSERT_EQ(type, 2);  // A-ASSOCIATE-AC
  }
  EXPECT_THAT(reason_of([&] { service.is_alive(); }), HasSubstr("too many associations"));
  for (const int fd : silent) EXPECT_TRUE(is_closed(fd));  // they are dropped after idle_seconds …
  EXPECT_TRUE(service.is_alive());                         // … and others get their turn
}

TEST(Store, ClosesConnectionsThatSpeakSomethingElse) {
  StoreScpOptions options = loopback();
  options.handshake_seconds = 2;
  options.max_associations = 40;
  Service service(options);
  Rng random(7);
  std::vector<std::string> greetings{"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                     std::string("\1\0\xFF\xFF\xFF\xFF", 6),
                                     std::string("\1\0\0\0\0\0", 6),
                                     std::string("\1\0\0\0\4\0abc", 9),
                                     std::string("\1", 1),
                                     ""};
  for (int i = 0; i < 20; ++i) {
    std::string noise(static_cast<std::size_t>(1 + random.below(3000)), '\0');
    for (char& c : noise) c = static_cast<char>(random.below(256));
    if (i % 2 == 0) {  // a complete request in form, of nonsense
      noise.resize(std::max<std::size_t>(noise.size(), 100));
      const std::size_t length = noise.size() - 6;
      noise.replace(0, 6, {'\1', '\0', '\0', '\0', static_cast<char>(length >> 8), static_cast<char>(length & 0xFF)});
    }
    greetings.push_back(noise);
  }
  std::vector<int> open;
  for (const std::string& greeting : greetings) {
    open.push_back(connect_raw(service.peer().port));
    if (!greeting.empty()) ::send(open.back(), greeting.data(), greeting.size(), MSG_NOSIGNAL);
  }
  for (const int fd : open) EXPECT_TRUE(is_closed(fd));
  EXPECT_TRUE(service.is_alive());
  EXPECT_EQ(service.count(), 0);
  EXPECT_FALSE(service.has_leftovers());
}

TEST(Store, SlowCallersDoNotBlockOthers) {
  StoreScpOptions options = loopback();
  options.handshake_seconds = 60;
  Service service(options);
  std::vector<int> slow;
  for (int i = 0; i < 6; ++i) {
    slow.push_back(connect_raw(service.peer().port));
    ::send(slow.back(), "\1\0", 2, 0);
  }
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(service.is_alive());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  for (const int fd : slow) ::close(fd);
}

TEST(Store, StopsAtOnceWhenCallersAreIdle) {
  auto service = std::make_unique<Service>(loopback());
  const int fd = connect_raw(service->peer().port);
  EXPECT_TRUE(service->is_alive());
  const auto start = std::chrono::steady_clock::now();
  service->scp().stop();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  EXPECT_TRUE(is_closed(fd));
  EXPECT_THROW(service->is_alive(), Error);
}

TEST(Store, TwoServicesCannotShareAPort) {
  const Service service(loopback());
  StoreScpOptions options = loopback();
  options.port = service.peer().port;
  EXPECT_THROW(Service{options}, Error);
}

}  // namespace
}  // namespace cmunet::pacs
