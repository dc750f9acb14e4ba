// SPDX-License-Identifier: Apache-2.0
// A client of DICOMweb servers (DICOM PS3.18): search (QIDO-RS), retrieve (WADO-RS), store (STOW-RS).
// What a server answers is untrusted: sizes are bounded, and no name it sends becomes a file name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cmunet/base/json.h"

namespace cmunet::pacs {

struct WebServer {
  std::string url;             ///< root of the services: "http://127.0.0.1:8042/dicom-web", or https
  std::string user, password;  ///< HTTP basic authentication when `user` is given
  std::string token;           ///< bearer token when given
  int timeout_seconds = 60;    ///< without a byte
  std::uint64_t max_bytes = std::uint64_t{8} << 30;  ///< of one answer
};

/// A study, a series of it or an instance of that; empty UIDs leave the level open.
struct WebSelection {
  std::string study_uid = {}, series_uid = {}, instance_uid = {};
};

enum class WebLevel { kStudy, kSeries, kInstance };

struct WebQuery {
  WebLevel level = WebLevel::kStudy;
  WebSelection within = {};                                     ///< search only in here
  std::vector<std::pair<std::string, std::string>> match = {};  ///< keyword or tag, value: {"ModalitiesInStudy", "XA"}
  int limit = 100;                                              ///< at most so many answers
};

/// The matches as the DICOM JSON model has them (PS3.18, F): an array of objects {"0020000D": {"vr", "Value"}, …}.
/// They may identify patients. @throws Error kInvalidArgument for UIDs or a URL that are none; kIo when the server
/// cannot be reached or refuses; kCorrupt when its answer is none; kUnsupported when it is longer than 64 KiB, or holds
/// more than 2000 values, for each match that was asked for.
Json search(const WebServer& server, const WebQuery& query);

/// First value of an attribute ("0020000D") of a match as text; empty when it has none.
std::string first_value(const Json& match, const std::string& tag);

/// Retrieves what is selected into `folder` as instance_0001.dcm, …; existing files of these names are overwritten.
/// A file stands there only when it arrived whole. @throws Error as `search`.
/// @return the files, in the server's order
std::vector<std::filesystem::path> retrieve(const WebServer& server, const WebSelection& selection,
                                            const std::filesystem::path& folder);

struct StoreAnswer {
  int stored = 0;
  /// (0008,1197) of each instance that was not stored, PS3.18, table 10.5.3-2; 0 where the server gave no reason, also
  /// for those that its answer does not name at all.
  std::vector<int> failure_reasons;
};

/// Stores files in one request, read as they are sent. @throws Error as `search`; kNotFound for a file.
StoreAnswer store(const WebServer& server, std::span<const std::filesystem::path> files);

}  // namespace cmunet::pacs
