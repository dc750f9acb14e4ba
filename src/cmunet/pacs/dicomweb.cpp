// SPDX-License-Identifier: Apache-2.0
#include "cmunet/pacs/dicomweb.h"

#include <httplib.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <random>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/pacs/multipart.h"
#include "cmunet/pacs/uid.h"

namespace cmunet::pacs {
namespace fs = std::filesystem;

namespace {

// Of an answer in JSON, for each object that was asked about: what servers say of one takes a few KiB and below 1000
// values. A value takes many times its text in memory, so that both are bounded before it is parsed.
constexpr std::uint64_t kJsonBytesEach = 64 << 10, kMaxJsonBytes = 64 << 20;
constexpr std::uint64_t kJsonValuesEach = 2000, kMaxJsonValues = 1'000'000;

struct Address {
  std::string origin;  // "http://host:port"
  std::string path;    // "/dicom-web", or empty
};

Address parse_url(const std::string& url) {
  const std::size_t scheme = url.starts_with("http://") ? 7 : url.starts_with("https://") ? 8 : 0;
  const bool plain = std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c < '\x7F'; });
  if (scheme == 0 || url.size() <= scheme || !plain || url.find_first_of("@?#") != std::string::npos) {
    throw Error(ErrorCode::kInvalidArgument,
                concat("[dicomweb] the URL must be http://host[:port]/path or https://…, without user and query"),
                "e.g. http://127.0.0.1:8042/dicom-web");
  }
  const std::size_t slash = url.find('/', scheme);
  Address address{url.substr(0, slash), slash == std::string::npos ? "" : url.substr(slash)};
  while (address.path.ends_with('/')) address.path.pop_back();
  return address;
}

// The one connection of a call, and what every request carries.
class Connection {
 public:
  explicit Connection(const WebServer& server) : address_(parse_url(server.url)), client_(address_.origin) {
    CMUNET_CHECK(client_.is_valid(), ErrorCode::kInvalidArgument, "[dicomweb] cannot use ", address_.origin);
    client_.set_connection_timeout(server.timeout_seconds);
    client_.set_read_timeout(server.timeout_seconds);
    client_.set_write_timeout(server.timeout_seconds);
    client_.set_decompress(false);  // nothing that grows
    if (!server.user.empty()) client_.set_basic_auth(server.user, server.password);
    if (!server.token.empty()) client_.set_bearer_token_auth(server.token);
  }

  httplib::Client& client() { return client_; }
  std::string path(const std::string& below) const { return address_.path + below; }

  // The status of an answer; an error that names no patient when there is none.
  int status(const httplib::Result& result) const {
    CMUNET_CHECK(static_cast<bool>(result), ErrorCode::kIo, "[dicomweb] ", address_.origin,
                 " does not answer (HTTP client: ", httplib::to_string(result.error()), ")");
    return result->status;
  }
  void refuse(int status, const std::string& what) const {
    throw Error(ErrorCode::kIo, concat("[dicomweb] ", address_.origin, " answered ", status, " to ", what),
                status == 401 || status == 403 ? "give a user or token that may do this"
                : status == 404                ? "check the UIDs, and that the URL is the root of the DICOMweb services"
                                               : "");
  }

 private:
  Address address_;
  httplib::Client client_;
};

std::string percent_encoded(const std::string& text) {
  std::string encoded;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 ||
        std::string_view("-._~").find(c) != std::string_view::npos) {
      encoded += c;
    } else {
      char hex[4];
      std::snprintf(hex, sizeof hex, "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
      encoded += hex;
    }
  }
  return encoded;
}

void check_uid(const std::string& uid) {
  CMUNET_CHECK(is_uid(uid), ErrorCode::kInvalidArgument, "[dicomweb] '", uid, "' is no DICOM UID");
}

// "/studies/1.2/series/3.4", as far as UIDs are given.
std::string selection_path(const WebSelection& selection) {
  CMUNET_CHECK(!selection.study_uid.empty() || selection.series_uid.empty(), ErrorCode::kInvalidArgument,
               "[dicomweb] a series is named without its study");
  CMUNET_CHECK(!selection.series_uid.empty() || selection.instance_uid.empty(), ErrorCode::kInvalidArgument,
               "[dicomweb] an instance is named without its series");
  std::string path;
  const std::pair<const char*, const std::string*> levels[] = {{"/studies/", &selection.study_uid},
                                                               {"/series/", &selection.series_uid},
                                                               {"/instances/", &selection.instance_uid}};
  for (const auto& [name, uid] : levels) {
    if (uid->empty()) break;
    check_uid(*uid);
    path += name + *uid;
  }
  return path;
}

// Runs `action` inside the HTTP library, which must not see exceptions; false stops the transfer.
template <typename Action>
bool guarded(std::exception_ptr& failure, Action action) {
  try {
    action();
    return true;
  } catch (...) {
    failure = std::current_exception();
    return false;
  }
}

struct TextAnswer {
  int status = 0;
  std::string text;
};

// An upper bound: how many values begin, or may begin, in a text of JSON.
std::uint64_t count_values(std::string_view text) {
  std::uint64_t count = 1;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string && c == '\\') ++i;
    if (!in_string && (c == ',' || c == '[' || c == '{')) ++count;
  }
  return count;
}

Json parse_answer(const TextAnswer& answer, std::uint64_t objects) {
  const std::uint64_t most = std::min(kMaxJsonValues, kJsonValuesEach * (objects + 1));
  CMUNET_CHECK(count_values(answer.text) <= most, ErrorCode::kUnsupported, "[dicomweb] an answer of more than ", most,
               " values");
  return parse_json(answer.text, "answer of the DICOMweb server");
}

// Sends a request that is answered with JSON about so many objects.
TextAnswer ask(Connection& connection, httplib::Request request, std::uint64_t objects, std::exception_ptr& failure) {
  const std::uint64_t most = std::min(kMaxJsonBytes, kJsonBytesEach * (objects + 1));
  TextAnswer answer;
  request.headers.emplace("Accept", "application/dicom+json");
  request.headers.emplace("Accept-Encoding", "identity");
  request.content_receiver = [&](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
    return guarded(failure, [&] {
      CMUNET_CHECK(answer.text.size() + size <= most, ErrorCode::kUnsupported, "[dicomweb] an answer of more than ",
                   most, " bytes");
      answer.text.append(data, size);
    });
  };
  const httplib::Result result = connection.client().send(request);
  if (failure) std::rethrow_exception(failure);
  answer.status = connection.status(result);
  return answer;
}

// Writes the parts of an answer as files.
class InstanceWriter {
 public:
  explicit InstanceWriter(fs::path folder) : folder_(std::move(folder)) {}

  void begin() {
    char name[40];
    std::snprintf(name, sizeof name, "instance_%04zu.dcm", files_.size() + 1);
    path_ = folder_ / name;
    file_.emplace(path_);
    head_.clear();
  }
  void data(std::string_view bytes) {
    if (head_.size() < 132) head_.append(bytes.substr(0, 132 - head_.size()));
    file_->write(bytes);
  }
  void end() {
    CMUNET_CHECK(head_.size() == 132 && head_.ends_with("DICM"), ErrorCode::kCorrupt,
                 "[dicomweb] the server sent something else than a DICOM file");
    file_->commit();
    file_.reset();
    files_.push_back(path_);
  }
  bool is_open() const { return file_.has_value(); }
  std::vector<fs::path> files() && { return std::move(files_); }

 private:
  fs::path folder_, path_;
  std::optional<AtomicFile> file_;
  std::string head_;
  std::vector<fs::path> files_;
};

std::string random_boundary() {
  std::random_device random;
  std::string text = "cmunet-";
  for (int i = 0; i < 4; ++i) {
    char hex[12];
    std::snprintf(hex, sizeof hex, "%08x", random());
    text += hex;
  }
  return text;
}

std::size_t item_count(const Json& answer, const char* sequence) {
  const auto found = answer.find(sequence);
  if (found == answer.end() || !found->is_object() || !found->contains("Value")) return 0;
  return (*found)["Value"].size();
}

}  // namespace

Json search(const WebServer& server, const WebQuery& query) {
  Connection connection(server);
  constexpr const char* kNames[] = {"/studies", "/series", "/instances"};
  std::string path = selection_path(query.within) + kNames[static_cast<int>(query.level)];
  path += concat("?limit=", query.limit);
  for (const auto& [key, value] : query.match) path += "&" + percent_encoded(key) + "=" + percent_encoded(value);
  httplib::Request request;
  request.method = "GET";
  request.path = connection.path(path);
  std::exception_ptr failure;
  const auto objects = static_cast<std::uint64_t>(std::max(query.limit, 0));
  const TextAnswer answer = ask(connection, std::move(request), objects, failure);
  if (answer.status == 204 || (answer.status == 200 && answer.text.empty())) return Json::array();
  if (answer.status != 200) connection.refuse(answer.status, "the search");
  Json matches = parse_answer(answer, objects);
  CMUNET_CHECK(matches.is_array(), ErrorCode::kCorrupt, "[dicomweb] the answer to a search is no list");
  return matches;
}

std::string first_value(const Json& match, const std::string& tag) {
  if (!match.is_object() || !match.contains(tag) || !match[tag].is_object()) return "";
  const auto values = match[tag].find("Value");
  if (values == match[tag].end() || !values->is_array() || values->empty()) return "";
  const Json& value = values->front();
  if (value.is_string()) return value.get<std::string>();
  return value.is_primitive() && !value.is_null() ? value.dump() : "";
}

std::vector<fs::path> retrieve(const WebServer& server, const WebSelection& selection, const fs::path& folder) {
  CMUNET_CHECK(!selection.study_uid.empty(), ErrorCode::kInvalidArgument, "[dicomweb] no study is named");
  Connection connection(server);
  InstanceWriter writer(folder);
  std::unique_ptr<MultipartReader> reader;
  std::uint64_t received = 0;
  std::exception_ptr failure;
  const httplib::Result result = connection.client().Get(
      connection.path(selection_path(selection)),
      {{"Accept", "multipart/related; type=\"application/dicom\"; transfer-syntax=*"}, {"Accept-Encoding", "identity"}},
      [&](const httplib::Response& response) {
        if (response.status != 200) return true;
        return guarded(failure, [&] {
          const std::string type = response.get_header_value("Content-Type");
          const auto boundary = boundary_of(type);
          CMUNET_CHECK(boundary || type.starts_with("application/dicom"), ErrorCode::kCorrupt,
                       "[dicomweb] the answer is neither multipart/related nor application/dicom");
          if (!boundary) return writer.begin();  // one instance, alone
          reader = std::make_unique<MultipartReader>(
              *boundary,
              MultipartReader::Sink{[&](std::string_view) { writer.begin(); },
                                    [&](std::string_view bytes) { writer.data(bytes); }, [&] { writer.end(); }});
        });
      },
      [&](const char* data, std::size_t size) {
        return guarded(failure, [&] {
          received += size;
          CMUNET_CHECK(received <= server.max_bytes, ErrorCode::kUnsupported, "[dicomweb] an answer of more than ",
                       server.max_bytes, " bytes");
          if (reader) {
            reader->push({data, size});
          } else if (writer.is_open()) {
            writer.data({data, size});
          }
        });
      });
  if (failure) std::rethrow_exception(failure);
  if (const int status = connection.status(result); status != 200) connection.refuse(status, "the retrieval");
  if (reader) {
    reader->finish();
  } else if (writer.is_open()) {
    writer.end();
  }
  return std::move(writer).files();
}

StoreAnswer store(const WebServer& server, std::span<const fs::path> files) {
  Connection connection(server);
  const std::string boundary = random_boundary();
  const MultipartBody body(boundary, files);
  std::exception_ptr failure;
  httplib::Request request;
  request.method = "POST";
  request.path = connection.path("/studies");
  request.headers.emplace("Content-Type", concat("multipart/related; type=\"application/dicom\"; boundary=", boundary));
  request.content_length_ = static_cast<std::size_t>(body.size());
  request.content_provider_ = [&](std::size_t offset, std::size_t length, httplib::DataSink& sink) {
    return guarded(failure, [&] {
      const std::string bytes = body.read(offset, std::min<std::size_t>(length, 1 << 20));
      sink.write(bytes.data(), bytes.size());
    });
  };
  const TextAnswer answered = ask(connection, std::move(request), files.size(), failure);
  // 409: none was stored; its body says why, as that of 200 and 202 does.
  if (answered.status != 200 && answered.status != 202 && answered.status != 409) {
    connection.refuse(answered.status, "the storage");
  }
  const Json answer = answered.text.empty() ? Json::object() : parse_answer(answered, files.size());
  CMUNET_CHECK(answer.is_object(), ErrorCode::kCorrupt, "[dicomweb] the answer to a storage is no object");
  StoreAnswer stored;
  stored.stored = static_cast<int>(item_count(answer, "00081199"));
  for (std::size_t i = 0; i < item_count(answer, "00081198"); ++i) {
    const std::string reason = first_value(answer["00081198"]["Value"][i], "00081197");
    stored.failure_reasons.push_back(reason.empty() ? 0 : std::atoi(reason.c_str()));
  }
  // A file that the answer does not name cannot be taken as stored, whatever the status.
  const std::size_t named = static_cast<std::size_t>(stored.stored) + stored.failure_reasons.size();
  if (named < files.size()) stored.failure_reasons.resize(stored.failure_reasons.size() + files.size() - named, 0);
  return stored;
}

}  // namespace cmunet::pacs
