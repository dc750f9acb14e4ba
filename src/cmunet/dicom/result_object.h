// SPDX-License-Identifier: Apache-2.0
// What the objects that we send back (segmentation, structured report, secondary capture) have in common.
#pragma once

#include <filesystem>
#include <string>

#include "cmunet/dicom/xa.h"

namespace cmunet::dicom {

/// The run that a result belongs to. The result takes over its patient and study, so that it is filed beside it.
struct ResultSource {
  XaHeader header;
  Patient patient;
};

/// How a result is named. A new result gets new UIDs; who must be able to make the same object again (to send it twice
/// under one name) gives them.
struct ResultOptions {
  std::string series_uid = {};    ///< empty: a new one
  std::string instance_uid = {};  ///< empty: a new one
  int instance_number = 1;
  std::string model = {};  ///< name of the model, for the algorithm's name; empty: none
};

/// A UID that was never used before: "2.25." and 122 random bits as a UUID of version 4 (PS3.5, B.2).
std::string new_uid();

}  // namespace cmunet::dicom
