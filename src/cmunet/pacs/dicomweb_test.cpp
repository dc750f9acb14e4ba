// SPDX-License-Identifier: Apache-2.0
// The client against a server of the test's own that answers well or badly.
#include "cmunet/pacs/dicomweb.h"

#include <gmock/gmock.h>
#include <httplib.h>

#include <thread>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/pacs/sample_object.h"

namespace cmunet::pacs {
namespace {
namespace fs = std::filesystem;

// Listens on a free port of loopback; a test sets what its routes answer.
class Server {
 public:
  Server() : port_(routes.bind_to_any_port("127.0.0.1")), thread_([this] { routes.listen_after_bind(); }) {
    while (!routes.is_running()) std::this_thread::yield();
  }
  ~Server() {
    routes.stop();
    thread_.join();
  }
  WebServer address() const {
    WebServer server;
    server.url = concat("http://127.0.0.1:", port_, "/dicom-web/");
    server.timeout_seconds = 5;
    return server;
  }
  httplib::Server routes;

 private:
  int port_;
  std::thread thread_;
};

std::string sample(const std::string& uid) {
  return file_header({kXaClass, uid, kExplicitLittleEndian}) + sample_data_set(uid, 16);
}

std::string in_multipart(const std::vector<std::string>& parts) {
  std::string body;
  for (const std::string& part : parts) body += "--x\r\nContent-Type: application/dicom\r\n\r\n" + part + "\r\n";
  return body + "--x--\r\n";
}

const char* const kMultipart = "multipart/related; type=\"application/dicom\"; boundary=x";

TEST(DicomWeb, Searches) {
  Server server;
  std::string seen;
  server.routes.Get("/dicom-web/studies", [&](const httplib::Request& request, httplib::Response& response) {
    seen = request.target;
    response.set_content(R"([{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}, "00201208": {"vr": "IS", "Value": [7]}}])",
                         "application/dicom+json");
  });
  const Json matches = search(server.address(), {.match = {{"PatientID", "A&B=1"}}, .limit = 5});
  EXPECT_EQ(seen, "/dicom-web/studies?limit=5&PatientID=A%26B%3D1");
  ASSERT_EQ(matches.size(), 1U);
  EXPECT_EQ(first_value(matches[0], "0020000D"), "1.2.3");
  EXPECT_EQ(first_value(matches[0], "00201208"), "7");
  EXPECT_EQ(first_value(matches[0], "00100010"), "");
  EXPECT_EQ(first_value(Json::parse(R"({"1": 3, "2": {"Value": 1}, "3": {"Value": [{}]}})"), "3"), "");
}

TEST(DicomWeb, SaysWhatIsWrongWithAnAnswer) {
  Server server;
  int status = 200;
  std::string body;
  server.routes.Get("/dicom-web/studies", [&](const httplib::Request&, httplib::Response& response) {
    response.status = status;
    response.set_content(body, "application/json");
  });
  const auto code = [&](int new_status, const std::string& new_body) {
    status = new_status, body = new_body;
    try {
      search(server.address(), {});
      return std::string("fine");
    } catch (const Error& e) {
      return std::string(to_string(e.code()));
    }
  };
  EXPECT_EQ(code(204, ""), "fine");
  EXPECT_EQ(code(404, "no"), "input/output");
  EXPECT_EQ(code(301, ""), "input/output");
  EXPECT_EQ(code(200, "{}"), "corrupt");
  EXPECT_EQ(code(200, "[{"), "corrupt");
  EXPECT_EQ(code(200, std::string(150'000, '[')), "corrupt");
  EXPECT_EQ(code(200, std::string((64 << 20) + 1, ' ')), "unsupported");
}

TEST(DicomWeb, AnAnswerIsBoundedByWhatWasAsked) {
  Server server;
  std::string body;
  server.routes.Get("/dicom-web/studies", [&](const httplib::Request&, httplib::Response& response) {
    response.set_content(body, "application/dicom+json");
  });
  const auto matches = [&](int limit) {
    try {
      return static_cast<int>(search(server.address(), {.limit = limit}).size());
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kUnsupported) << e.what();
      return -1;
    }
  };
  body = "[{}";
  for (int i = 1; i < 3000; ++i) body += ",{}";
  body += "]";
  EXPECT_EQ(matches(1), -1);  // 6000 values
  EXPECT_EQ(matches(10), 3000);
  body = R"([{"1": "a\"[[,,"}])";
  body.insert(body.size() - 4, std::string(8000, ','));  // within a text commas divide no values
  EXPECT_EQ(matches(1), 1);
  body = "[" + std::string(200'000, ' ') + "{}]";
  EXPECT_EQ(matches(1), -1);
  EXPECT_EQ(matches(10), 1);
}

TEST(DicomWeb, EveryRequestCarriesTheCredentials) {
  Server server;
  std::vector<std::string> seen;
  const auto note = [&](const httplib::Request& request) { seen.push_back(request.get_header_value("Authorization")); };
  server.routes.Get("/dicom-web/studies", [&](const httplib::Request& request, httplib::Response& response) {
    note(request);
    response.set_content("[]", "application/dicom+json");
  });
  server.routes.Get("/dicom-web/studies/1.2", [&](const httplib::Request& request, httplib::Response& response) {
    note(request);
    response.set_content(in_multipart({sample("1.2.1")}), kMultipart);
  });
  server.routes.Post("/dicom-web/studies", [&](const httplib::Request& request, httplib::Response& response) {
    note(request);
    response.set_content(R"({"00081199": {"vr": "SQ", "Value": [{}]}})", "application/dicom+json");
  });
  const ScratchFolder folder;
  const std::vector<fs::path> files{write_sample(folder.path(), "1.2.1")};
  const auto headers = [&](const WebServer& address) {
    seen.clear();
    search(address, {});
    retrieve(address, {"1.2"}, folder.path());
    EXPECT_EQ(store(address, files).stored, 1);
    return seen;
  };
  WebServer address = server.address();
  EXPECT_THAT(headers(address), testing::ElementsAre("", "", ""));
  address.user = "doctor", address.password = "secret";
  EXPECT_THAT(headers(address), testing::Each("Basic ZG9jdG9yOnNlY3JldA=="));
  address.user.clear(), address.token = "t0ken";
  EXPECT_THAT(headers(address), testing::Each("Bearer t0ken"));
}

TEST(DicomWeb, RetrievesFilesUnderNamesOfItsOwn) {
  Server server;
  std::string accept;
  server.routes.Get("/dicom-web/studies/1.2", [&](const httplib::Request& request, httplib::Response& response) {
    accept = request.get_header_value("Accept");
    response.set_content(in_multipart({sample("1.2.1"), sample("1.2.2")}), kMultipart);
  });
  server.routes.Get("/dicom-web/studies/1.2/series/3/instances/4",
                    [&](const httplib::Request&, httplib::Response& response) {
                      response.set_content(sample("4"), "application/dicom");
                    });
  const ScratchFolder folder;
  const auto files = retrieve(server.address(), {"1.2"}, folder.path());
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[1], folder / "instance_0002.dcm");
  EXPECT_EQ(read_file(files[1]), sample("1.2.2"));
  EXPECT_THAT(accept, testing::HasSubstr("transfer-syntax=*"));
  EXPECT_EQ(read_file(retrieve(server.address(), {"1.2", "3", "4"}, folder.path()).at(0)), sample("4"));
}

TEST(DicomWeb, LeavesNothingOfABadRetrieval) {
  Server server;
  std::string body, type;
  server.routes.Get("/dicom-web/studies/1.2", [&](const httplib::Request&, httplib::Response& response) {
    response.set_content(body, type.c_str());
  });
  const ScratchFolder folder;
  const auto attempt = [&](const std::string& new_body, const std::string& new_type, std::uint64_t limit = 1 << 20) {
    body = new_body, type = new_type;
    WebServer address = server.address();
    address.max_bytes = limit;
    EXPECT_THROW(retrieve(address, {"1.2"}, folder.path()), Error) << new_type << new_body.size();
    EXPECT_TRUE(fs::is_empty(folder.path()));
  };
  const std::string whole = in_multipart({sample("1.2.1")});
  attempt(whole.substr(0, whole.size() / 2), kMultipart);
  attempt(whole, "multipart/related");
  attempt(whole, "text/html");
  attempt(whole, kMultipart, 100);
  attempt(in_multipart({"short"}), kMultipart);
  attempt(in_multipart({std::string(500, 'x')}), kMultipart);
  attempt("<html>", "application/dicom");
}

TEST(DicomWeb, Stores) {
  Server server;
  std::string received, type;
  int status = 200;
  std::string answer = R"({"00081199": {"vr": "SQ", "Value": [{}, {}]}})";
  server.routes.Post("/dicom-web/studies", [&](const httplib::Request& request, httplib::Response& response) {
    received = request.body;
    type = request.get_header_value("Content-Type");
    response.status = status;
    response.set_content(answer, "application/dicom+json");
  });
  const ScratchFolder folder;
  const std::vector<fs::path> files{write_sample(folder.path(), "1.2.1", 1500), write_sample(folder.path(), "1.2.2")};
  EXPECT_EQ(store(server.address(), files).stored, 2);
  EXPECT_THAT(type, testing::StartsWith("multipart/related; type=\"application/dicom\"; boundary="));
  EXPECT_THAT(received, testing::HasSubstr(sample_data_set("1.2.1", 1500)));
  EXPECT_THAT(received, testing::HasSubstr(read_file(files[1])));
  status = 202;
  answer = R"({"00081199": {"Value": [{}]}, "00081198": {"Value": [{"00081197": {"vr": "US", "Value": [272]}}]}})";
  const StoreAnswer partly = store(server.address(), files);
  EXPECT_EQ(partly.stored, 1);
  EXPECT_EQ(partly.failure_reasons, std::vector{272});
  status = 200;
  for (const char* silent : {"", "{}"}) {
    answer = silent;
    EXPECT_EQ(store(server.address(), files).stored, 0);
    EXPECT_EQ(store(server.address(), files).failure_reasons, (std::vector{0, 0}));
  }
  status = 409;
  answer = "";
  EXPECT_EQ(store(server.address(), files).failure_reasons.size(), 2U);
  status = 500;
  EXPECT_THROW(store(server.address(), files), Error);
  EXPECT_THROW(store(server.address(), std::vector<fs::path>{folder / "none"}), Error);
}

TEST(DicomWeb, ChecksWhatItIsGiven) {
  const ScratchFolder folder;
  for (const char* url : {"", "ftp://x", "http://", "http://user:secret@host/", "http://host/?a=b", "http://ho st/"}) {
    WebServer server;
    server.url = url;
    EXPECT_THROW(search(server, {}), Error) << url;
  }
  WebServer server;
  server.url = "http://127.0.0.1:1/dicom-web";
  EXPECT_THROW(retrieve(server, {"../../x"}, folder.path()), Error);
  EXPECT_THROW(retrieve(server, {"", "1"}, folder.path()), Error);
  EXPECT_THROW(retrieve(server, {"1", "", "2"}, folder.path()), Error);
  EXPECT_THROW(retrieve(server, {}, folder.path()), Error);
  EXPECT_THROW(search(server, {}), Error);  // nobody listens there
}

}  // namespace
}  // namespace cmunet::pacs
