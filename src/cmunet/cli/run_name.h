// SPDX-License-Identifier: Apache-2.0
// What reports and results may say about where a DICOM run came from.
#pragma once

#include <filesystem>
#include <string>

#include "cmunet/base/json.h"
#include "cmunet/dicom/xa.h"

namespace cmunet::cli {

/// True when `text` contains a UID, or what the run's header says of the patient and the study (name, number, birth
/// date, accession number, …), whatever the case, accents (also written as two letters, ae for ä) and punctuation. A
/// name that the header does not hold cannot be known.
bool identifies(const std::string& text, const dicom::XaRun& run);

/// The file's name without .dcm.
std::string file_name_of_run(const std::filesystem::path& file);

/// That name, or `anonymous` where that name identifies the patient. Folders, which archives name
/// after patients, are never part of it.
std::string name_of_run(const std::filesystem::path& file, const dicom::XaRun& run, const std::string& anonymous);

/// What --identify adds to a report: the path, and the SOP Instance UID by which an archive finds the run.
Json identity_of_run(const std::filesystem::path& file, const dicom::XaRun& run);

}  // namespace cmunet::cli
