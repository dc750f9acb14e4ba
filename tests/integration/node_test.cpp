// SPDX-License-Identifier: Apache-2.0
// The built program as a node of a PACS: `cmunet node` and `cmunet dicomweb` with DCMTK's tools and a real Orthanc, all
// on loopback, on free ports, in a temporary folder. Skipped where they are not installed
// (tools/install-deps.sh --with-pacs). An Orthanc that runs as a service is left alone.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/dicom/made_run.h"
#include "cmunet/dicom/segmentation_object.h"
#include "cmunet/dicom/xa.h"
#include "free_port.h"
#include "run_program.h"

namespace cmunet {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

const char* const kOrthanc = "/usr/sbin/Orthanc";
const char* const kDicomWebPlugin = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";

// A program that runs beside the test; its output goes to a file.
class Process {
 public:
  Process(std::vector<std::string> words, const fs::path& log) {
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ != 0) return;
    if (std::freopen(log.c_str(), "a", stdout) == nullptr || ::dup2(1, 2) < 0) ::_exit(126);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ~Process() { end(SIGKILL); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// Sends the signal and returns the exit status, -1 when the signal ended it.
  int end(int signal) {
    if (pid_ <= 0) return -1;
    int status = 0;
    ::kill(pid_, signal);
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_ = 0;
};

bool wait_until(const std::function<bool()>& condition, std::chrono::milliseconds look_every = 100ms) {
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(look_every);
  }
  return true;
}

// A dark arc that fills between frames 4 and 8 on a grainy ground.
int cell(int frame, int y, int x, int) {
  const double filling = std::clamp((frame - 4) / 4.0, 0.0, 1.0);
  const double off = std::abs(std::hypot(y - 10.0, x - 40.0) - 70);
  const double vessel = y > 10 && x > 40 && off < 4 ? std::sqrt(1 - off * off / 16) : 0.0;
  return static_cast<int>(150 - 80 * filling * vessel) + (y * 7 + x * 13 + frame * 29) % 5;
}

class NodeCommand : public ::testing::Test {
 protected:
  fs::path write_run(int number, const std::string& syntax = "1.2.840.10008.1.2.1") const {
    dicom::MadeRun run;
    run.syntax = syntax;
    run.frames = 12, run.height = run.width = 128;
    run.cell = cell;
    run.attributes = {"SOPInstanceUID=1.2.826.0.1.7." + std::to_string(number), "PatientName=PLANTED^NAME",
                      "PatientID=PLANTED-ID", "StudyInstanceUID=1.2.826.0.1.9", "SeriesInstanceUID=1.2.826.0.1.8"};
    const fs::path file = folder / concat("run", number, ".dcm");
    dicom::write_run(run, file);
    return file;
  }
  std::unique_ptr<Process> start_node(const std::string& allow, const std::string& send_to,
                                      const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{CMUNET_PROGRAM, "node",    "--allow",         allow,    "--send-to",
                                   send_to,        "--spool", folder / "spool",  "--port", node_text,
                                   "--threads",    "2",       "--retry-seconds", "0.5"};
    words.insert(words.end(), more.begin(), more.end());
    return std::make_unique<Process>(words, folder / "node.log");
  }
  std::string node_log() const { return fs::exists(folder / "node.log") ? read_file(folder / "node.log") : ""; }
  int count(const std::string& state) const {
    const fs::path place = folder / "spool" / state;
    return fs::exists(place) ? static_cast<int>(std::distance(fs::directory_iterator(place), fs::directory_iterator()))
                             : 0;
  }
  // Objects that the node has acknowledged; one on its way from incoming/ to working/ stands in both.
  std::size_t taken() const {
    std::set<std::string> keys;
    for (const char* state : {"incoming", "working", "done"}) {
      if (!fs::exists(folder / "spool" / state)) continue;
      for (const auto& entry : fs::directory_iterator(folder / "spool" / state)) keys.insert(entry.path().stem());
    }
    return keys.size();
  }
  Outcome tool(const std::string& program, const std::string& arguments) {
    return run_program(program, arguments + " 1>&2", folder.path());
  }

  const ScratchFolder folder;
  const int node_port = free_port();
  const std::string node_text = std::to_string(node_port);
};

TEST_F(NodeCommand, TakesFromDcmtkToolsWhoMayAndSendsBack) {
  if (!fs::exists("/usr/bin/storescu")) GTEST_SKIP() << "storescu is not installed (dcmtk)";
  fs::create_directory(folder / "received");
  const std::string port = std::to_string(free_port());
  Process receiver({"/usr/bin/storescp", "-aet", "PACS", "-od", folder / "received", "--accept-all", port},
                   folder / "storescp.log");
  const auto node = start_node("CATHLAB@127.0.0.1", "PACS@127.0.0.1:" + port, {"--max-object-mb", "1", "--dicom-sc"});
  const std::string to = concat("-aet CATHLAB -aec CMUNET 127.0.0.1 ", node_port);
  ASSERT_TRUE(wait_until([&] { return tool("/usr/bin/echoscu", to).status == 0; })) << node_log();
  EXPECT_NE(tool("/usr/bin/echoscu", concat("-aet SOMEBODY -aec CMUNET 127.0.0.1 ", node_port)).status, 0);
  EXPECT_NE(tool("/usr/bin/echoscu", concat("-aet CATHLAB -aec OTHER 127.0.0.1 ", node_port)).status, 0);

  const Outcome plain = tool("/usr/bin/storescu", concat(to, " ", write_run(1)));
  EXPECT_EQ(plain.status, 0) << plain.err;
  const Outcome lossless = tool("/usr/bin/storescu", concat("-xs ", to, " ", write_run(2, "1.2.840.10008.1.2.4.70")));
  EXPECT_EQ(lossless.status, 0) << lossless.err;
  ASSERT_TRUE(wait_until([&] { return count("done") == 2; })) << node_log();
  EXPECT_EQ(count("failed"), 0);
  int segmentations = 0, captures = 0;
  for (const auto& entry : fs::directory_iterator(folder / "received")) {
    if (entry.path().filename().string().starts_with("SC")) {
      ++captures;
      EXPECT_NE(tool("/usr/bin/storescu", concat(to, " ", entry.path())).status, 0) << "a circle";
    }
    if (!entry.path().filename().string().starts_with("SG")) continue;
    ++segmentations;
    const dicom::SegmentationContent content = dicom::read_segmentation(entry.path());
    EXPECT_THAT(content.source_sop_instance_uid, HasSubstr("1.2.826.0.1.7."));
    EXPECT_EQ(content.source_frames.size(), 1U);
    const image::Mask mask = content.mask(0);
    EXPECT_GT(std::count(mask.begin(), mask.end(), 1), 200);
  }
  EXPECT_EQ(segmentations, 2);
  EXPECT_EQ(captures, 2);
  EXPECT_EQ(count("done"), 2);
  EXPECT_EQ(node->end(SIGTERM), 0);
  EXPECT_THAT(node_log(), HasSubstr("not for clinical use"));
  // A node that takes captures takes those from here for what they are: acknowledged, passed over, not kept.
  const auto other = start_node("CATHLAB@127.0.0.1", "PACS@127.0.0.1:" + port);
  ASSERT_TRUE(wait_until([&] { return tool("/usr/bin/echoscu", to).status == 0; })) << node_log();
  for (const auto& entry : fs::directory_iterator(folder / "received")) {
    if (!entry.path().filename().string().starts_with("SC")) continue;
    EXPECT_EQ(tool("/usr/bin/storescu", concat(to, " ", entry.path())).status, 0);
  }
  EXPECT_THAT(node_log(), HasSubstr("a result of this program"));
  EXPECT_EQ(other->end(SIGTERM), 0);
  EXPECT_EQ(count("incoming") + count("working") + count("failed"), 0);
  EXPECT_EQ(count("done"), 2);
  for (const char* planted : {"PLANTED", "1.2.826"}) EXPECT_THAT(node_log(), Not(HasSubstr(planted)));
}

// Takes one request, to its last byte, and answers that it conflicts with what is there.
void refuse_one_request(int listening) {
  const int connection = ::accept(listening, nullptr, nullptr);
  std::string request;
  char buffer[4096];
  while (!request.ends_with("--\r\n") && !request.ends_with("--")) {
    const ssize_t n = ::recv(connection, buffer, sizeof buffer, 0);
    if (n <= 0) break;
    request.append(buffer, static_cast<std::size_t>(n));
  }
  const std::string answer = "HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  ::send(connection, answer.data(), answer.size(), MSG_NOSIGNAL);
  ::close(connection);
}

TEST_F(NodeCommand, ARefusalByADicomWebServerIsOneDocumentAndAStatus) {
  const int listening = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  place.sin_port = htons(static_cast<std::uint16_t>(node_port));
  ASSERT_EQ(::bind(listening, reinterpret_cast<const sockaddr*>(&place), sizeof place), 0);
  ASSERT_EQ(::listen(listening, 1), 0);
  std::thread server(refuse_one_request, listening);
  const Outcome refused =
      run_program(CMUNET_PROGRAM,
                  concat("dicomweb store --json ", write_run(1), " --url http://127.0.0.1:", node_port, "/dicom-web"),
                  folder.path());
  ::shutdown(listening, SHUT_RDWR);  // also when nobody came
  server.join();
  ::close(listening);
  EXPECT_EQ(refused.status, 3);
  const Json document = parse_json(refused.out, "stdout");  // one document, no error after it
  EXPECT_EQ(document["stored"], 0);
  EXPECT_EQ(document["failure_reasons"].size(), 1U);
  EXPECT_THAT(refused.err, HasSubstr("cmunet: error: [dicomweb] the server did not say that it took 1 objects"));
}

TEST_F(NodeCommand, ADryRunOfDicomWebChecksItsFlags) {
  const auto status = [&](const std::string& arguments) {
    const std::string url = " --dry-run --url http://127.0.0.1:1/dicom-web";
    return run_program(CMUNET_PROGRAM, concat("dicomweb ", arguments, url), folder.path()).status;
  };
  EXPECT_EQ(status("search --match Modality=XA"), 0);
  EXPECT_EQ(status("search --match Modality"), 2);
  EXPECT_EQ(status(concat("get --study 1.2 --out ", folder / "new")), 0);
  EXPECT_EQ(status(concat("get --out ", folder / "new")), 2);
  EXPECT_EQ(status("store"), 2);
  EXPECT_EQ(status(concat("store ", folder / "none.dcm")), 3);
  EXPECT_FALSE(fs::exists(folder / "new"));
}

TEST_F(NodeCommand, DryRunsCarryTheDisclaimerToo) {
  for (const char* arguments : {"node --allow A@127.0.0.1 --send-to B@127.0.0.1:104 --spool spool --dry-run",
                                "dicomweb search --url http://127.0.0.1:8042/dicom-web --dry-run"}) {
    const Outcome outcome = run_program(CMUNET_PROGRAM, arguments, folder.path());
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("not for clinical use")) << arguments;
  }
}

TEST_F(NodeCommand, WorksWithOrthancFromPushToResult) {
  if (!fs::exists(kOrthanc) || !fs::exists(kDicomWebPlugin)) GTEST_SKIP() << "orthanc, orthanc-dicomweb not installed";
  const int dicom_port = free_port(), http_port = free_port();
  // As docs/how-to/pacs-node.md shows it: Orthanc passes on every XA object that it gets.
  write_file_atomic(folder / "route.lua",
                    "function OnStoredInstance(id, tags, metadata, origin)\n"
                    "  if tags['Modality'] == 'XA' then SendToModality(id, 'cmunet') end\n"
                    "end\n");
  const Json configuration = {
      {"Name", "test"},
      {"StorageDirectory", folder / "orthanc"},
      {"IndexDirectory", folder / "orthanc"},
      {"Plugins", {kDicomWebPlugin}},
      {"DicomAet", "ORTHANC"},
      {"DicomPort", dicom_port},
      {"HttpPort", http_port},
      {"RemoteAccessAllowed", false},
      {"LuaScripts", {folder / "route.lua"}},
      {"DicomModalities", {{"cmunet", {"CMUNET", "127.0.0.1", node_port}}}},
      {"DicomWeb", {{"Enable", true}, {"Root", "/dicom-web/"}}},
  };
  save_json(folder / "orthanc.json", configuration);
  Process orthanc({kOrthanc, folder / "orthanc.json"}, folder / "orthanc.log");
  const std::string destination = concat("ORTHANC@127.0.0.1:", dicom_port);
  auto node = start_node("ORTHANC@127.0.0.1", destination);
  const std::string url = concat("--url http://127.0.0.1:", http_port, "/dicom-web");
  const auto web = [&](const std::string& arguments) {
    return run_program(CMUNET_PROGRAM, concat("dicomweb ", arguments, " ", url), folder.path());
  };
  ASSERT_TRUE(wait_until([&] { return web("search").status == 0; })) << read_file(folder / "orthanc.log");
  ASSERT_TRUE(wait_until([&] { return node_log().find("listens") != std::string::npos; })) << node_log();

  const Outcome stored = web(concat("store ", write_run(1), " ", write_run(2), " ", write_run(3)));
  EXPECT_EQ(stored.status, 0) << stored.err;
  EXPECT_THAT(stored.out, HasSubstr("stored 3 of 3"));
  // Orthanc's script sends once: what the node did not acknowledge, it would not send again.
  // It is killed as soon as it has acknowledged the third, which it then has hardly begun.
  ASSERT_TRUE(wait_until([&] { return taken() == 3; }, 1ms)) << node_log();
  node->end(SIGKILL);
  EXPECT_LT(count("done"), 3) << "the node was to be killed in the middle of its work, and had done it";
  node = start_node("ORTHANC@127.0.0.1", destination);

  ASSERT_TRUE(wait_until([&] { return count("done") == 3; })) << node_log() << read_file(folder / "orthanc.log");
  const auto series_of = [&](const std::string& modality) {
    const Outcome found = web(concat("search --json --level series --match Modality=", modality));
    EXPECT_EQ(found.status, 0) << found.err;
    return parse_json(found.out, "search")["matches"];
  };
  const Json segmentations = series_of("SEG");
  ASSERT_EQ(segmentations.size(), 3U);
  EXPECT_EQ(series_of("SR").size(), 3U);
  const std::string series = segmentations[0]["0020000E"]["Value"][0];
  const Outcome fetched = web(concat("get --study 1.2.826.0.1.9 --series ", series, " --out ", folder / "fetched"));
  EXPECT_EQ(fetched.status, 0) << fetched.err;
  const dicom::SegmentationContent content = dicom::read_segmentation(folder / "fetched/instance_0001.dcm");
  EXPECT_EQ(content.source_series_uid, "1.2.826.0.1.8");
  EXPECT_EQ(content.source_frames.size(), 1U);
  const Outcome run = web("get --study 1.2.826.0.1.9 --series 1.2.826.0.1.8 --out " + (folder / "runs").string());
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(dicom::find_runs(folder / "runs").size(), 3U);
  EXPECT_EQ(node->end(SIGTERM), 0);
}

}  // namespace
}  // namespace cmunet
