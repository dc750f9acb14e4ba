// SPDX-License-Identifier: Apache-2.0
#include "cmunet/pacs/multipart.h"

#include <gtest/gtest.h>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/random.h"
#include "cmunet/base/scratch_folder.h"

namespace cmunet::pacs {
namespace {

struct Part {
  std::string headers, bytes;
  bool ended = false;
  bool operator==(const Part&) const = default;
};

// All parts of a body that is pushed in pieces of `step` bytes.
std::vector<Part> parts_of(const std::string& body, std::size_t step, const std::string& boundary = "b") {
  std::vector<Part> parts;
  MultipartReader reader(
      boundary, {[&](std::string_view headers) {
                   parts.push_back({std::string(headers), ""});
                 },
                 [&](std::string_view bytes) { parts.back().bytes += bytes; }, [&] { parts.back().ended = true; }});
  for (std::size_t at = 0; at < body.size(); at += step) reader.push(std::string_view(body).substr(at, step));
  reader.finish();
  return parts;
}

TEST(Multipart, TakesABodyApartInPiecesOfAnySize) {
  const std::string body =
      "preamble\r\n--b\r\nContent-Type: application/dicom\r\nX: y\r\n\r\none\r\n--not the end\r\n\r\n--b  \r\n\r\n"
      "two\r\n--b\r\n\r\n\r\n--b--\r\nepilogue\r\n--b\r\n";
  const std::vector<Part> expected{
      {"Content-Type: application/dicom\r\nX: y", "one\r\n--not the end\r\n", true}, {"", "two", true}, {"", "", true}};
  for (std::size_t step = 1; step <= body.size(); ++step) EXPECT_EQ(parts_of(body, step), expected) << step;
}

TEST(Multipart, NeedsNoPreamble) {
  EXPECT_EQ(parts_of("--b\r\n\r\nx\r\n--b--", 1000), (std::vector<Part>{{"", "x", true}}));
  EXPECT_TRUE(parts_of("--b--", 1000).empty());
}

TEST(Multipart, RefusesWhatDoesNotEnd) {
  for (const char* body : {"", "--b\r\n", "--b\r\n\r\nx", "--b\r\n\r\nx\r\n--b", "--c--"}) {
    EXPECT_THROW(parts_of(body, 7), Error) << body;
  }
  EXPECT_THROW(parts_of("--b\r\nX: " + std::string(20'000, 'x'), 100), Error);
  EXPECT_THROW(parts_of("--b" + std::string(20'000, ' '), 100), Error);
}

TEST(Multipart, SurvivesNoise) {
  const std::string good = "--b\r\nA: b\r\n\r\ndata\r\n--b\r\n\r\nmore\r\n--b--\r\n";
  Rng random(3);
  for (int i = 0; i < 3000; ++i) {
    std::string body = good + good;
    for (std::uint64_t n = random.below(8); n-- > 0;) {
      body[static_cast<std::size_t>(random.below(body.size()))] = "\r\n-b: x"[random.below(8)];
    }
    body.resize(static_cast<std::size_t>(random.below(body.size() + 1)));
    const auto step = static_cast<std::size_t>(1 + random.below(20));
    std::vector<Part> in_pieces, at_once;
    bool pieces_fine = true, once_fine = true;
    try {
      in_pieces = parts_of(body, step);
    } catch (const Error&) {
      pieces_fine = false;
    }
    try {
      at_once = parts_of(body, body.size() + 1);
    } catch (const Error&) {
      once_fine = false;
    }
    ASSERT_EQ(pieces_fine, once_fine) << body;
    ASSERT_EQ(in_pieces, at_once) << body;
  }
}

TEST(Multipart, FindsTheBoundary) {
  EXPECT_EQ(boundary_of("multipart/related; type=\"application/dicom\"; boundary=abc"), "abc");
  EXPECT_EQ(boundary_of("Multipart/Related;BOUNDARY=\"a b;c\" ; x"), std::nullopt);  // ';' is no boundary character
  EXPECT_EQ(boundary_of("Multipart/Related;BOUNDARY=\"a b-c\" ; x"), "a b-c");
  for (const std::string& type :
       {std::string("multipart/mixed; boundary=a"), std::string("multipart/related"),
        std::string("multipart/related; boundary="), "multipart/related; boundary=" + std::string(71, 'a'),
        std::string("multipart/related; boundary=a\r\nb"), std::string("application/dicom"), std::string()}) {
    EXPECT_EQ(boundary_of(type), std::nullopt) << type;
  }
}

TEST(Multipart, WhatIsMadeIsTakenApartAgain) {
  const ScratchFolder folder;
  const std::vector<std::string> contents{"", "\r\n--", std::string(3000, '\0'), "four"};
  std::vector<std::filesystem::path> files;
  for (const std::string& content : contents) {
    files.push_back(folder / std::to_string(files.size()));
    write_file_atomic(files.back(), content);
  }
  const MultipartBody body("b", files);
  std::string text;
  while (text.size() < body.size()) {
    const std::string piece = body.read(text.size(), 100);
    ASSERT_FALSE(piece.empty());
    text += piece;
  }
  EXPECT_TRUE(body.read(body.size(), 100).empty());
  const std::vector<Part> parts = parts_of(text, 33);
  ASSERT_EQ(parts.size(), contents.size());
  for (std::size_t i = 0; i < parts.size(); ++i) EXPECT_EQ(parts[i].bytes, contents[i]);
}

}  // namespace
}  // namespace cmunet::pacs
