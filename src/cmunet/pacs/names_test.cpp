// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/pacs/peer.h"
#include "cmunet/pacs/received_file.h"
#include "cmunet/pacs/uid.h"

namespace cmunet::pacs {
namespace {

TEST(Uid, IsDigitsAndSingleDots) {
  EXPECT_TRUE(is_uid("1.2.840.10008.1.1"));
  EXPECT_TRUE(is_uid(std::string(64, '1')));
  for (const std::string& text :
       {std::string(), std::string("1..2"), std::string(".1"), std::string("1."), std::string("1.a"),
        std::string("../1"), std::string(65, '1'), std::string("1\0", 2)}) {
    EXPECT_FALSE(is_uid(text)) << text;
  }
}

TEST(Uid, FollowsFromSourceAndRole) {
  const std::string uid = derive_uid("1.2.3", "seg");
  EXPECT_TRUE(is_uid(uid));
  EXPECT_TRUE(uid.starts_with("2.25."));
  EXPECT_EQ(uid, derive_uid("1.2.3", "seg"));
  EXPECT_NE(uid, derive_uid("1.2.3", "sr"));
  EXPECT_NE(uid, derive_uid("1.2.4", "seg"));
  EXPECT_THROW(derive_uid("not a uid", "seg"), Error);
}

// python3: h = list(xxh3_128_hexdigest("1.2.3\nseg")); h[12] = "8"; h[16] = "89ab"[ord(h[16]) % 4]; int("".join(h), 16)
TEST(Uid, IsAVersion8UuidInDecimal) {
  EXPECT_EQ(derive_uid("1.2.3", "seg"), "2.25.64263694459192593285471720367367899106");
}

TEST(Peer, ParsesTitleHostAndPort) {
  const Peer peer = parse_peer("MY PACS@pacs.example:104");
  EXPECT_EQ(peer.ae_title, "MY PACS");
  EXPECT_EQ(peer.host, "pacs.example");
  EXPECT_EQ(peer.port, 104);
  for (const char* text : {"PACS", "PACS@host", "@host:104", "PACS@:104", "PACS@host:0", "PACS@host:65536",
                           "PACS@host:1x", "A\\B@host:104", "SEVENTEEN_LETTERS@host:104"}) {
    EXPECT_THROW(parse_peer(text), Error) << text;
  }
}

TEST(Peer, IsAllowedByTitleAndNetwork) {
  const AllowedPeer one = parse_allowed_peer("PACS@10.1.2.3"), many = parse_allowed_peer("CATHLAB@192.168.7.9/24");
  const std::vector<AllowedPeer> allowed{one, many};
  EXPECT_TRUE(may_connect(allowed, parse_ipv4("10.1.2.3")));
  EXPECT_FALSE(may_connect(allowed, parse_ipv4("10.1.2.4")));
  EXPECT_TRUE(may_send(allowed, "CATHLAB", parse_ipv4("192.168.7.200")));
  EXPECT_FALSE(may_send(allowed, "CATHLAB", parse_ipv4("192.168.8.1")));
  EXPECT_FALSE(may_send(allowed, "CATHLAB", parse_ipv4("10.1.2.3")));
  EXPECT_FALSE(may_send(allowed, "cathlab", parse_ipv4("192.168.7.200")));
  EXPECT_TRUE(may_send(std::vector{parse_allowed_peer("ANY@0.0.0.0/0")}, "ANY", parse_ipv4("8.8.8.8")));
  for (const char* text : {"PACS@10.1.2", "PACS@10.1.2.3/33", "PACS@host", "PACS@"}) {
    EXPECT_THROW(parse_allowed_peer(text), Error) << text;
  }
}

TEST(ReceivedFile, HasHeaderThenBytesAndExistsOnlyWhenCommitted) {
  const ScratchFolder folder;
  const ObjectIdentity identity{"1.2.840.10008.5.1.4.1.1.12.1", "1.2.3", "1.2.840.10008.1.2.1"};
  const std::string bytes = "data set";
  {
    ReceivedFile dropped(folder.path(), identity, 100);
    dropped.write(std::as_bytes(std::span(bytes)));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  ReceivedFile file(folder.path(), identity, 100);
  file.write(std::as_bytes(std::span(bytes)));
  const std::string text = read_file(file.commit());
  EXPECT_EQ(text.substr(128, 4), "DICM");
  EXPECT_EQ(text, file_header(identity) + bytes);
  EXPECT_EQ(text.size() % 2, 0U);
}

TEST(ReceivedFile, DropsWhatIsTooLarge) {
  const ScratchFolder folder;
  ReceivedFile file(folder.path(), {"1", "2", "3"}, 10);
  const std::string bytes = "0123456789";
  file.write(std::as_bytes(std::span(bytes)));
  EXPECT_FALSE(file.too_large());
  for (int i = 0; i < 1000; ++i) file.write(std::as_bytes(std::span(bytes)));
  EXPECT_TRUE(file.too_large());
  EXPECT_EQ(file.size(), 10010U);
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    EXPECT_LE(std::filesystem::file_size(entry), file_header({"1", "2", "3"}).size() + 10);
  }
  EXPECT_THROW(file.commit(), Error);
}

}  // namespace
}  // namespace cmunet::pacs
