// SPDX-License-Identifier: Apache-2.0
#include "cmunet/pacs/store_scp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <list>
#include <thread>

#include "cmunet/base/error.h"
#include "cmunet/base/log.h"
#include "cmunet/pacs/association.h"

namespace cmunet::pacs {
namespace {

using Clock = std::chrono::steady_clock;

// Connections beyond max_associations that may wait at the same time to be told so; more are closed at once.
constexpr std::size_t kRefusalSlots = 8;

int open_listening_socket(const std::string& address, int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CMUNET_CHECK(fd >= 0, ErrorCode::kIo, "[listen] no socket: ", std::strerror(errno));
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(static_cast<std::uint16_t>(port));
  place.sin_addr.s_addr = htonl(parse_ipv4(address));
  const bool listening =
      ::bind(fd, reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0 && ::listen(fd, 64) == 0;
  if (!listening) {
    const std::string why = std::strerror(errno);
    ::close(fd);
    throw Error(ErrorCode::kIo, concat("[listen] ", address, ":", port, ": ", why),
                "is another program using the port?");
  }
  return fd;
}

int port_of(int fd) {
  sockaddr_in place{};
  socklen_t size = sizeof place;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&place), &size);
  return ntohs(place.sin_port);
}

}  // namespace

struct StoreScp::Data {
  struct Connection {
    Session session;
    std::atomic<bool> finished{false};
    int watched = -1;  // a second handle of the socket: shutting it down never hits a number that was used again
    std::thread thread;
  };

  StoreScpOptions options;
  std::atomic<bool> stopping{false};
  AssociationServer server;
  int listening = -1, wake = -1, port = 0;
  std::list<Connection> connections;  // touched by the listening thread, and by stop() after that has ended
  std::thread thread;

  Data(const StoreScpOptions& given, std::filesystem::path receiving, OnObject on_object)
      : options(given), server(given, std::move(receiving), std::move(on_object), stopping) {}

  void listen_loop();
  void start(int socket, std::uint32_t address);
  void remove_finished();
  void close_connections();
};

void StoreScp::Data::listen_loop() {
  while (!stopping) {
    pollfd watched[] = {{listening, POLLIN, 0}, {wake, POLLIN, 0}};
    if (::poll(watched, 2, 1000) < 0 && errno != EINTR) break;
    remove_finished();
    if (stopping || (watched[0].revents & POLLIN) == 0) continue;
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const int socket = ::accept4(listening, reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC);
    if (socket < 0) {
      // Out of file handles: the connection stays in the queue, so do not spin on it.
      if (errno == EMFILE || errno == ENFILE) std::this_thread::sleep_for(std::chrono::milliseconds(100));
      continue;
    }
    const std::uint32_t address = ntohl(from.sin_addr.s_addr);
    if (!may_connect(options.allowed, address)) {
      char text[INET_ADDRSTRLEN] = "";
      ::inet_ntop(AF_INET, &from.sin_addr, text, sizeof text);
      log_warning("[node] closed a connection from ", text, ": address not allowed");
      ::close(socket);
    } else if (connections.size() >= static_cast<std::size_t>(options.max_associations) + kRefusalSlots) {
      log_warning("[node] closed a connection: too many are open");
      ::close(socket);
    } else {
      start(socket, address);
    }
  }
}

void StoreScp::Data::start(int socket, std::uint32_t address) {
  Connection& connection = connections.emplace_back();
  connection.session.socket = socket;
  connection.session.address = address;
  connection.watched = ::dup(socket);
  if (connection.watched < 0) {  // out of file handles
    ::close(socket);
    connections.pop_back();
    return;
  }
  try {
    connection.thread = std::thread([this, &connection] {
      if (await_association_request(connection.session.socket, options.handshake_seconds)) {
        server.serve(connection.session);
      } else {
        log_warning("[node] closed a connection that made no DICOM association request");
        ::close(connection.session.socket);
      }
      connection.finished = true;
    });
  } catch (const std::system_error&) {  // no more threads
    ::close(socket);
    connection.finished = true;
  }
}

void StoreScp::Data::remove_finished() {
  connections.remove_if([](Connection& connection) {
    if (!connection.finished) return false;
    if (connection.thread.joinable()) connection.thread.join();
    ::close(connection.watched);
    return true;
  });
}

void StoreScp::Data::close_connections() {
  const auto deadline = Clock::now() + std::chrono::seconds(options.stop_grace_seconds);
  while (!connections.empty()) {
    const bool is_late = Clock::now() > deadline;
    for (Connection& connection : connections) {
      if (is_late || connection.session.idle) ::shutdown(connection.watched, SHUT_RDWR);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    remove_finished();
  }
}

StoreScp::StoreScp(const StoreScpOptions& options, std::filesystem::path receiving, OnObject on_object) {
  check_ae_title(options.ae_title);
  CMUNET_CHECK(options.port >= 0 && options.port <= 65535, ErrorCode::kInvalidArgument, "[listen] port ", options.port);
  CMUNET_CHECK(options.max_associations >= 1 && options.max_associations <= 1000, ErrorCode::kInvalidArgument,
               "[listen] ", options.max_associations, " associations; expected 1 to 1000");
  data_ = std::make_unique<Data>(options, std::move(receiving), std::move(on_object));
  data_->listening = open_listening_socket(options.bind_address, options.port);
  data_->port = port_of(data_->listening);
  data_->wake = ::eventfd(0, EFD_CLOEXEC);
  data_->thread = std::thread([this] { data_->listen_loop(); });
}

StoreScp::~StoreScp() {
  stop();
  ::close(data_->wake);
}

int StoreScp::port() const { return data_->port; }

void StoreScp::stop() {
  if (data_->stopping.exchange(true)) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(data_->wake, &one, sizeof one);
  data_->thread.join();
  ::close(data_->listening);
  data_->close_connections();
}

}  // namespace cmunet::pacs
