// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/run_name.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <vector>

namespace cmunet::cli {
namespace {

constexpr std::string_view kDigits = "0123456789";

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// Numbers joined by at least three dots; versions and times have fewer.
bool contains_uid(std::string_view text) {
  constexpr int kDotsOfUid = 3;
  int dots = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_digit = kDigits.find(text[i]) != std::string_view::npos;
    const bool joins = text[i] == '.' && i > 0 && kDigits.find(text[i - 1]) != std::string_view::npos &&
                       i + 1 < text.size() && kDigits.find(text[i + 1]) != std::string_view::npos;
    dots = joins ? dots + 1 : is_digit ? dots : 0;
    if (dots >= kDotsOfUid) return true;
  }
  return false;
}

// Parts of a value that stand for the whole: of "Doe^Jane" both names. Shorter ones are in any text.
void add_parts(const std::string& value, std::vector<std::string>& parts) {
  constexpr std::size_t kShortest = 3;
  constexpr std::string_view kBetween = "^= ,\\";
  for (std::size_t begin = 0; begin < value.size();) {
    const std::size_t end = std::min(value.find_first_of(kBetween, begin), value.size());
    if (end - begin >= kShortest) parts.push_back(lower_case(value.substr(begin, end - begin)));
    begin = end + 1;
  }
}

}  // namespace

bool identifies(const std::string& text, const dicom::XaRun& run) {
  const dicom::Patient& patient = run.patient();
  std::vector<std::string> parts;
  for (const std::string* value : {&patient.name, &patient.id, &patient.birth_date, &patient.study_id,
                                   &patient.study_date, &patient.accession_number, &patient.referring_physician}) {
    add_parts(*value, parts);
  }
  const std::string searched = lower_case(text);
  return contains_uid(searched) ||
         std::ranges::any_of(parts, [&](const std::string& part) { return searched.find(part) != std::string::npos; });
}

std::string file_name_of_run(const std::filesystem::path& file) {
  // Dots within a name belong to it: an ending other than .dcm is none.
  const bool has_ending = lower_case(file.extension().string()) == ".dcm";
  return has_ending ? file.stem().string() : file.filename().string();
}

std::string name_of_run(const std::filesystem::path& file, const dicom::XaRun& run, const std::string& anonymous) {
  const std::string name = file_name_of_run(file);
  return identifies(name, run) ? anonymous : name;
}

Json identity_of_run(const std::filesystem::path& file, const dicom::XaRun& run) {
  return {{"path", file.string()}, {"sop_instance_uid", run.header().source.sop_instance_uid}};
}

}  // namespace cmunet::cli
