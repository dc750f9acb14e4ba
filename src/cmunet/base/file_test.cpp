// SPDX-License-Identifier: Apache-2.0
#include "cmunet/base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "cmunet/base/error.h"
#include "cmunet/base/random.h"
#include "cmunet/base/safetensors.h"
#include "cmunet/base/scratch_folder.h"

namespace cmunet {
namespace {

namespace fs = std::filesystem;

template <typename Action>
ErrorCode error_code_of(Action action) {
  try {
    action();
  } catch (const Error& e) {
    return e.code();
  }
  ADD_FAILURE() << "no error was thrown";
  return ErrorCode::kInternal;
}

std::ptrdiff_t file_count(const fs::path& dir) {
  return std::distance(fs::directory_iterator(dir), fs::directory_iterator());
}

void write_plain(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

// Gives up the right to ignore permissions, so that these tests mean the same for root.
bool become_ordinary_user() { return ::geteuid() != 0 || ::setuid(65534) == 0; }

TEST(ReadFile, ReturnsEveryByte) {
  const ScratchFolder scratch;
  const std::string bytes("\0\r\n\xff text \x1a end", 15);
  write_plain(scratch / "a", bytes);
  EXPECT_EQ(read_file(scratch / "a"), bytes);
  write_plain(scratch / "empty", "");
  EXPECT_EQ(read_file(scratch / "empty"), "");
}

TEST(ReadFile, SaysWhatIsWrong) {
  const ScratchFolder scratch;
  write_plain(scratch / "a", "12345");
  EXPECT_EQ(read_file(scratch / "a", 5), "12345");
  EXPECT_EQ(error_code_of([&] { read_file(scratch / "a", 4); }), ErrorCode::kUnsupported);
  EXPECT_EQ(error_code_of([&] { read_file(scratch / "none"); }), ErrorCode::kNotFound);
  EXPECT_EQ(error_code_of([&] { read_file(scratch.path()); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_code_of([&] { read_file("/dev/zero"); }), ErrorCode::kInvalidArgument);
}

TEST(ReadFile, DoesNotCallAForbiddenFileMissing) {
  const ScratchFolder scratch;
  fs::create_directory(scratch / "closed");
  write_plain(scratch / "closed/a", "text");
  fs::permissions(scratch / "closed", fs::perms::none);
  const int result = run_in_child([&] {
    if (!become_ordinary_user()) return 2;
    return error_code_of([&] { read_file(scratch / "closed/a"); }) == ErrorCode::kIo ? 0 : 1;
  });
  fs::permissions(scratch / "closed", fs::perms::owner_all);
  EXPECT_EQ(result, 0);
}

TEST(WriteFileAtomic, ReplacesTheFileAndLeavesNothingElse) {
  const ScratchFolder scratch;
  write_file_atomic(scratch / "a", "old and long");
  write_file_atomic(scratch / "a", "new");
  EXPECT_EQ(read_file(scratch / "a"), "new");
  EXPECT_EQ(file_count(scratch.path()), 1);
}

TEST(WriteFileAtomic, WorksInTheCurrentFolder) {
  const ScratchFolder scratch;
  EXPECT_EQ(run_in_child([&] {
              fs::current_path(scratch.path());
              write_file_atomic("bare_name", "text");
              return read_file("bare_name") == "text" ? 0 : 1;
            }),
            0);
}

TEST(WriteFileAtomic, RefusesFoldersAndDevices) {
  const ScratchFolder scratch;
  EXPECT_EQ(error_code_of([&] { write_file_atomic(scratch.path(), "text"); }), ErrorCode::kInvalidArgument);
  ASSERT_EQ(::mkfifo((scratch / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(error_code_of([&] { write_file_atomic(scratch / "pipe", "text"); }), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(fs::is_fifo(scratch / "pipe"));
  EXPECT_EQ(error_code_of([] { write_file_atomic("/dev/full", "text"); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_code_of([&] { write_file_atomic(scratch / "no/such/folder", "text"); }), ErrorCode::kIo);
}

TEST(AtomicFile, IsInvisibleUntilCommitted) {
  const ScratchFolder scratch;
  {
    AtomicFile file(scratch / "a");
    file.write("one ");
    file.write("two");
    EXPECT_FALSE(fs::exists(scratch / "a"));
    file.commit();
    EXPECT_EQ(read_file(scratch / "a"), "one two");
  }
  {
    AtomicFile file(scratch / "a");
    file.write("abandoned");
  }
  EXPECT_EQ(read_file(scratch / "a"), "one two");
  EXPECT_EQ(file_count(scratch.path()), 1);
}

TEST(AtomicFile, TwoWritersOfOnePathDoNotMix) {
  const ScratchFolder scratch;
  AtomicFile first(scratch / "a");
  AtomicFile second(scratch / "a");
  first.write("first");
  second.write("second");
  second.commit();
  first.commit();
  EXPECT_EQ(read_file(scratch / "a"), "first");
}

// In a container the program often has the same process number in every run.
TEST(AtomicFile, IsNotStoppedByTheLeftoverOfAKilledProcess) {
  const ScratchFolder scratch;
  const int result = run_in_child([&] {
    for (int i = 0; i < 1000; ++i) {
      write_plain(scratch / (".a." + std::to_string(::getpid()) + "." + std::to_string(i) + ".tmp"), "left over");
    }
    write_file_atomic(scratch / "a", "text");
    return 0;
  });
  EXPECT_EQ(result, 0);
  EXPECT_EQ(read_file(scratch / "a"), "text");
}

TEST(AtomicFile, FullDiskLeavesTheOldFile) {
  const ScratchFolder scratch;
  write_file_atomic(scratch / "a", "old");
  const int result = run_in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 16, 1 << 16};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    const std::string large(1 << 20, 'x');
    return error_code_of([&] { write_file_atomic(scratch / "a", large); }) == ErrorCode::kIo ? 0 : 1;
  });
  EXPECT_EQ(result, 0);
  EXPECT_EQ(read_file(scratch / "a"), "old");
  EXPECT_EQ(file_count(scratch.path()), 1);
}

// Rewrites a tensor file for ever; every version is filled with its own number and says it in its metadata.
[[noreturn]] void rewrite_for_ever(const fs::path& path) {
  for (std::uint64_t version = 1;; ++version) {
    const std::vector<std::uint64_t> values(1 << 14, version);
    const TensorRef tensor{"values", DType::kI64, {1 << 14}, std::as_bytes(std::span(values))};
    write_safetensors(path, std::span(&tensor, 1), {{"version", std::to_string(version)}});
  }
}

TEST(AtomicFile, AlwaysLoadsAfterItsWriterWasKilled) {
  const ScratchFolder scratch;
  const fs::path path = scratch / "checkpoint.safetensors";
  Rng rng(1);
  std::uint64_t versions_seen = 0;
  for (int round = 0; round < 200; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) rewrite_for_ever(path);
    // The first round must leave a file; the others are cut at any instant of a write.
    while (round == 0 && !fs::exists(path)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::microseconds(rng.integer(0, 20'000)));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself";

    const SafetensorsFile file = SafetensorsFile::open(path);
    const std::uint64_t version = std::stoull(file.metadata().at("version"));
    const auto values = file.at("values").as<std::uint64_t>();
    ASSERT_EQ(values.size(), std::size_t{1} << 14);
    ASSERT_TRUE(std::all_of(values.begin(), values.end(), [&](std::uint64_t v) { return v == version; }));
    versions_seen = std::max(versions_seen, version);
  }
  EXPECT_GT(versions_seen, 1U) << "no writer came as far as a second version";
  EXPECT_GT(file_count(scratch.path()), 1) << "no writer was cut in the middle of a write";
}

TEST(PrepareOutputFolder, CreatesParentsAndKeepsForeignFiles) {
  const ScratchFolder scratch;
  prepare_output_folder(scratch / "a/b/c", false);
  EXPECT_TRUE(fs::is_directory(scratch / "a/b/c"));
  prepare_output_folder(scratch / "a/b/c", false);  // still empty
  write_plain(scratch / "a/b/c/result", "precious");
  EXPECT_EQ(error_code_of([&] { prepare_output_folder(scratch / "a/b/c", false); }), ErrorCode::kInvalidArgument);
  prepare_output_folder(scratch / "a/b/c", true);
  EXPECT_EQ(read_file(scratch / "a/b/c/result"), "precious");
}

TEST(PrepareOutputFolder, RefusesWhatCannotBecomeAFolder) {
  const ScratchFolder scratch;
  write_plain(scratch / "file", "text");
  EXPECT_EQ(error_code_of([&] { prepare_output_folder(scratch / "file", true); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_code_of([&] { prepare_output_folder(scratch / "file/below", false); }), ErrorCode::kIo);
  EXPECT_EQ(error_code_of([] { prepare_output_folder("", false); }), ErrorCode::kIo);
}

TEST(PrepareOutputFolder, NoticesThatItMayNotWrite) {
  const ScratchFolder scratch;
  fs::create_directory(scratch / "readonly");
  fs::permissions(scratch / "readonly", fs::perms{0555});
  const int result = run_in_child([&] {
    if (!become_ordinary_user()) return 3;
    if (error_code_of([&] { prepare_output_folder(scratch / "readonly/new", false); }) != ErrorCode::kIo) return 1;
    if (error_code_of([&] { write_file_atomic(scratch / "readonly/a", "text"); }) != ErrorCode::kIo) return 2;
    if (error_code_of([&] { prepare_output_folder(scratch / "readonly", false); }) != ErrorCode::kIo) return 4;
    return 0;
  });
  fs::permissions(scratch / "readonly", fs::perms::owner_all);
  EXPECT_EQ(result, 0);
}

TEST(CheckOutputFile, AsksForForceOnlyWhenTheFileExists) {
  const ScratchFolder scratch;
  check_output_file(scratch / "a", false);
  write_plain(scratch / "a", "text");
  EXPECT_EQ(error_code_of([&] { check_output_file(scratch / "a", false); }), ErrorCode::kInvalidArgument);
  check_output_file(scratch / "a", true);
}

TEST(CheckOutputFile, NoticesThatItsFolderWillNotDo) {
  const ScratchFolder scratch;
  write_plain(scratch / "file", "text");
  for (const bool force : {false, true}) {
    for (const char* name : {"none/a", "file/a", "."}) {
      EXPECT_EQ(error_code_of([&] { check_output_file(scratch / name, force); }), ErrorCode::kInvalidArgument) << name;
    }
  }
  fs::create_directory(scratch / "readonly");
  fs::permissions(scratch / "readonly", fs::perms{0555});
  const int result = run_in_child([&] {
    if (!become_ordinary_user()) return 2;
    return error_code_of([&] { check_output_file(scratch / "readonly/a", false); }) == ErrorCode::kIo ? 0 : 1;
  });
  fs::permissions(scratch / "readonly", fs::perms::owner_all);
  EXPECT_EQ(result, 0);
}

TEST(CheckOutputFolder, RefusesWhatPreparingWouldAndMakesNothing) {
  const ScratchFolder scratch;
  check_output_folder(scratch / "a/b/c", false);
  EXPECT_FALSE(fs::exists(scratch / "a"));
  write_plain(scratch / "file", "text");
  EXPECT_EQ(error_code_of([&] { check_output_folder(scratch.path(), false); }), ErrorCode::kInvalidArgument);
  check_output_folder(scratch.path(), true);
  EXPECT_EQ(error_code_of([&] { check_output_folder(scratch / "file", true); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_code_of([&] { check_output_folder(scratch / "file/below", false); }), ErrorCode::kIo);
  EXPECT_EQ(error_code_of([] { check_output_folder("", false); }), ErrorCode::kIo);
}

}  // namespace
}  // namespace cmunet
