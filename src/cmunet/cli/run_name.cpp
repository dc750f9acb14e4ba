// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/run_name.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "cmunet/base/error.h"

namespace cmunet::cli {
namespace {

constexpr std::string_view kDigits = "0123456789";

// Base letters of U+00C0…U+017F; a blank where there is no letter.
constexpr std::string_view kBaseLetters =
    "aaaaaaaceeeeiiiidnooooo ouuuuyts"
    "aaaaaaaceeeeiiiidnooooo ouuuuyty"
    "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllll"
    "nnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";
static_assert(kBaseLetters.size() == 0x180 - 0xC0);

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// How a name is written where there are no accents: "Müller" is "Muller" or "Mueller".
enum class Folding { kOneLetter, kTwoLetters };

// What German, Danish, Norwegian and Swedish write for a letter; empty for others.
std::string_view two_letters(unsigned code) {
  switch (code) {
    case 0xC4:
    case 0xC6:
    case 0xE4:
    case 0xE6: return "ae";
    case 0xC5:
    case 0xE5: return "aa";
    case 0xD6:
    case 0xD8:
    case 0xF6:
    case 0xF8: return "oe";
    case 0xDC:
    case 0xFC: return "ue";
    case 0xDF: return "ss";
    default: return "";
  }
}

// The second of the two letters when the accent `code` follows the letter `base`.
std::string second_letter(unsigned code, char base) {
  constexpr unsigned kDiaeresis = 0x308, kRing = 0x30A;
  if (code == kDiaeresis && (base == 'a' || base == 'o' || base == 'u')) return "e";
  return code == kRing && base == 'a' ? "a" : "";
}

// What is left of a character of two bytes that follows `before`: the base letter or two letters of a Latin one,
// Cyrillic in lower case, nothing of other combining accents, others as they are.
std::string folded(unsigned code, std::string_view bytes, char before, Folding folding) {
  if (folding == Folding::kTwoLetters) {
    if (const std::string_view letters = two_letters(code); !letters.empty()) return std::string(letters);
    if (const std::string letter = second_letter(code, before); !letter.empty()) return letter;
  }
  if (code >= 0xC0 && code < 0x180) return {kBaseLetters[code - 0xC0]};
  if (code >= 0x300 && code < 0x370) return {};
  if (code >= 0x410 && code < 0x430) code += 0x20;
  if (code < 0x400 || code >= 0x460) return std::string(bytes);
  return {static_cast<char>(0xC0 | code >> 6U), static_cast<char>(0x80 | (code & 0x3FU))};
}

// Letters in lower case without accents, digits, and single blanks for everything between: "Müller-Änne" is
// "muller anne" or "mueller aenne". UTF-8, in composed or decomposed form.
std::string words_of(const std::string& text, Folding folding) {
  std::string words;
  const auto add = [&words](const std::string& letters) {
    if (letters != " ") {
      words += letters;
    } else if (!words.empty() && words.back() != ' ') {
      words += ' ';
    }
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) {
      add(std::isalnum(byte) != 0 ? std::string(1, static_cast<char>(std::tolower(byte))) : " ");
    } else if ((byte & 0xE0U) == 0xC0U && i + 1 < text.size()) {
      const auto next = static_cast<unsigned char>(text[i + 1]);
      add(folded((byte & 0x1FU) << 6U | (next & 0x3FU), std::string_view(text).substr(i, 2),
                 words.empty() ? ' ' : words.back(), folding));
      ++i;
    } else {
      add(std::string(1, text[i]));
    }
  }
  return words;
}

std::string without_blanks(std::string text) {
  std::erase(text, ' ');
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

// Does the text hold one of the parts of a header's value, of "Doe^Jane" one of both names? Punctuation counts
// nowhere; parts of two letters, which are within many words, must be words of their own.
bool holds_part(const std::string& text, const std::string& value, Folding folding) {
  constexpr std::string_view kBetween = "^= ,\\";
  const std::string words = concat(" ", words_of(text, folding), " "), letters = without_blanks(words);
  for (std::size_t begin = 0; begin < value.size();) {
    const std::size_t end = std::min(value.find_first_of(kBetween, begin), value.size());
    const std::string part = without_blanks(words_of(value.substr(begin, end - begin), folding));
    const bool is_held = part.size() > 2 ? letters.find(part) != std::string::npos
                                         : part.size() == 2 && words.find(concat(" ", part, " ")) != std::string::npos;
    if (is_held) return true;
    begin = end + 1;
  }
  return false;
}

}  // namespace

bool identifies(const std::string& text, const dicom::XaRun& run) {
  const dicom::Patient& patient = run.patient();
  const std::array<const std::string*, 7> values{&patient.name,
                                                 &patient.id,
                                                 &patient.birth_date,
                                                 &patient.study_id,
                                                 &patient.study_date,
                                                 &patient.accession_number,
                                                 &patient.referring_physician};
  return contains_uid(text) || std::ranges::any_of(values, [&](const std::string* value) {
           return holds_part(text, *value, Folding::kOneLetter) || holds_part(text, *value, Folding::kTwoLetters);
         });
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
