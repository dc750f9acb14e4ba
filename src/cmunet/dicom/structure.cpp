// SPDX-License-Identifier: Apache-2.0
// What is written here repeats the decisions of DCMTK's parser (dcitem.cc, dcsequen.cc, dcmetinf.cc) under the settings
// of toolkit.cpp. Where it is unsure, a value counts as a sequence: then its depth is bounded, too.
#include "cmunet/dicom/structure.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcistrmf.h>
#include <dcmtk/dcmdata/dctk.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/dicom/toolkit.h"

namespace cmunet::dicom {
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kOpen = -1;  // of undefined length: a delimiter ends it

enum class Kind { kDataset, kItem, kSequence, kFragments };
enum class Content { kValue, kSequence, kUnknownSequence, kFragments };

// What is being walked through, from the data set at the bottom to the innermost item.
struct Level {
  Kind kind = Kind::kDataset;
  E_TransferSyntax syntax = EXS_Unknown;
  std::int64_t end = kOpen;
  std::int64_t elements = 0;
  DcmTagKey last{0, 0};
};

struct Head {
  DcmTag tag;
  Uint32 length = 0;
  std::int64_t at = 0;
};

// DCMTK's own guess, which it keeps to itself.
struct SyntaxGuess : DcmItem {
  using DcmItem::checkTransferSyntax;
};

bool is_overlay(const DcmTag& tag) { return (tag.getGroup() & 0xff00) == 0x6000 && tag.getElement() == 0x3000; }

Content content_of(const Head& head) {
  const bool is_open = head.length == DCM_UndefinedLength;
  const DcmTagKey tag = head.tag.getXTag();
  switch (head.tag.getEVR()) {
    case EVR_SQ: return Content::kSequence;
    case EVR_UN:
    case EVR_UNKNOWN:
    case EVR_UNKNOWN2B: return is_open ? Content::kUnknownSequence : Content::kValue;
    case EVR_px:
    case EVR_PixelData: return is_open ? Content::kFragments : Content::kValue;
    case EVR_OB:
    case EVR_OW:
    case EVR_ox:
      if (is_overlay(head.tag)) return Content::kValue;
      if (tag == DCM_VOILUTSequence && !is_open) return Content::kSequence;
      if (tag == DCM_PixelData && is_open) return Content::kFragments;
      return is_open ? Content::kSequence : Content::kValue;
    default: return Content::kValue;
  }
}

class Walk {
 public:
  Walk(const fs::path& file, Part part, const StructureLimits& limits)
      : in_(file.c_str()),
        limits_(limits),
        last_tag_(part == Part::kHeader ? DcmTagKey(0x7fe0, 0x000f) : DCM_PixelData),
        file_size_(static_cast<std::int64_t>(fs::file_size(file))) {
    CMUNET_CHECK(in_.good(), ErrorCode::kIo, "[dicom] cannot be opened");
  }

  void run() {
    start_dataset(read_meta_header());
    while (!levels_.empty() && step()) {
    }
  }

  /// Sets `storage_class()`, and goes to the data set.
  E_TransferSyntax read_meta_header();
  const std::string& storage_class() const { return storage_class_; }

 private:
  void skip_preamble();
  std::string read_uid(const Head& head);
  void start_dataset(E_TransferSyntax named);

  /// One attribute, item or fragment; false when nothing more will be read.
  bool step();
  bool step_within_item();
  bool step_within_sequence();
  bool enter(const Head& head, Content content);
  void push(Kind kind, E_TransferSyntax syntax, Uint32 length);

  std::optional<Head> read_head(E_TransferSyntax syntax);
  bool begins_with_item(E_TransferSyntax syntax);
  bool skip(std::int64_t size);
  void skip_value(const Head& head);
  void count(const Head& head);
  bool read(void* bytes, std::int64_t size);
  std::uint32_t read_number(int size, E_ByteOrder order);
  bool is_in_pixel_data() const;
  void check_inflation() const;
  [[noreturn]] void fail_cut_off() const;

  DcmInputFileStream in_;
  StructureLimits limits_;
  DcmTagKey last_tag_;
  std::int64_t file_size_;
  std::vector<Level> levels_;
  std::int64_t elements_ = 0, disorder_ = 0, held_ = 0;
  std::int64_t dataset_at_ = 0;
  std::string storage_class_;
  bool is_deflated_ = false, is_cut_ = false, has_pixel_data_ = false;
};

bool Walk::read(void* bytes, std::int64_t size) {
  if (is_cut_ || in_.read(bytes, size) == size) return !is_cut_;
  is_cut_ = true;
  return false;
}

// In the order of the file; 0 behind its end, which sets is_cut_.
std::uint32_t Walk::read_number(int size, E_ByteOrder order) {
  std::array<Uint8, 4> bytes{};
  if (!read(bytes.data(), size)) return 0;
  std::uint32_t value = 0;
  for (int i = 0; i < size; ++i) {
    const auto k = static_cast<std::size_t>(order == EBO_BigEndian ? i : size - 1 - i);
    value = value << 8 | bytes[k];
  }
  return value;
}

void Walk::fail_cut_off() const {
  throw Error(ErrorCode::kCorrupt, concat("[dicom] is not DICOM or is cut off: it ends at byte ", in_.tell()));
}

void Walk::check_inflation() const {
  if (!is_deflated_) return;
  const std::int64_t by_ratio = limits_.free_inflated + limits_.max_inflation * file_size_;
  const std::int64_t most = std::min(limits_.max_inflated, by_ratio);
  CMUNET_CHECK(in_.tell() - dataset_at_ <= most, ErrorCode::kUnsupported, "[dicom] a deflated object of ", file_size_,
               " bytes holds more than ", most, "; so much is not inflated");
}

// False when fewer bytes are there.
bool Walk::skip(std::int64_t size) {
  constexpr std::int64_t kStep = 1 << 20;  // of inflated bytes, between looks at how many there are
  while (size > 0) {
    const std::int64_t wanted = is_deflated_ ? std::min(size, kStep) : size;
    if (in_.skip(wanted) != wanted) return false;
    size -= wanted;
    check_inflation();
  }
  return true;
}

void Walk::skip_preamble() {
  std::array<char, DCM_PreambleLen + DCM_MagicLen> preamble{};
  in_.mark();
  const bool is_whole = read(preamble.data(), preamble.size());
  if (!is_whole || std::string_view(preamble.data() + DCM_PreambleLen, DCM_MagicLen) != DCM_Magic) in_.putback();
  is_cut_ = false;
  if (in_.avail() < 12) fail_cut_off();
}

std::string Walk::read_uid(const Head& head) {
  CMUNET_CHECK(head.length <= 66 && head.tag.getEVR() == EVR_UI, ErrorCode::kCorrupt, "[dicom] ",
               head.tag.getXTag() == DCM_TransferSyntaxUID ? "the transfer syntax" : "the class of the object",
               " is no UID");
  std::string uid(head.length, '\0');
  if (!read(uid.data(), head.length)) fail_cut_off();
  uid.resize(std::min(uid.size(), uid.find_last_not_of(std::string_view(" \0", 2)) + 1));
  return uid;
}

// Group 2, which says how the rest is encoded; unknown when it does not.
E_TransferSyntax Walk::read_meta_header() {
  skip_preamble();
  const E_TransferSyntax syntax = SyntaxGuess().checkTransferSyntax(in_);
  std::optional<std::string> uid;
  while (in_.avail() >= 2) {
    in_.mark();
    std::array<Uint8, 2> group{};
    in_.read(group.data(), 2);
    in_.putback();
    const bool is_meta = (group[0] == 2 && group[1] == 0) || (group[0] == 0 && group[1] == 2);
    if (!is_meta) break;
    const std::optional<Head> head = read_head(syntax);
    if (!head) fail_cut_off();
    CMUNET_CHECK(head->tag.getGroup() == 2 && content_of(*head) == Content::kValue, ErrorCode::kCorrupt, "[dicom] ",
                 head->tag.getXTag().toString().c_str(), " does not belong into a file meta header");
    count(*head);
    if (head->tag.getXTag() == DCM_TransferSyntaxUID && !uid) {
      uid = read_uid(*head);
    } else if (head->tag.getXTag() == DCM_MediaStorageSOPClassUID) {
      storage_class_ = read_uid(*head);
    } else {
      skip_value(*head);
    }
  }
  if (!uid) return EXS_Unknown;
  const E_TransferSyntax named = DcmXfer(uid->c_str()).getXfer();
  const bool is_plain = uid->find_first_not_of("0123456789.") == std::string::npos;
  CMUNET_CHECK(is_plain, ErrorCode::kUnsupported, "[dicom] the transfer syntax has other characters than a UID");
  if (named == EXS_Unknown) refuse_syntax(*uid);
  return named;
}

void Walk::start_dataset(E_TransferSyntax named) {
  if (in_.avail() == 0) fail_cut_off();
  const E_TransferSyntax syntax = named == EXS_Unknown ? SyntaxGuess().checkTransferSyntax(in_) : named;
  dataset_at_ = in_.tell();
  if (const E_StreamCompression compression = DcmXfer(syntax).getStreamCompression(); compression != ESC_none) {
    is_deflated_ = true;
    CMUNET_CHECK(in_.installCompressionFilter(compression).good(), ErrorCode::kUnsupported,
                 "[dicom] its compression is not read");
  }
  levels_.push_back({Kind::kDataset, syntax, kOpen, 0, {0, 0}});
}

std::optional<Head> Walk::read_head(E_TransferSyntax syntax) {
  const DcmXfer xfer(syntax);
  const E_ByteOrder order = xfer.getByteOrder();
  Head head;
  head.at = in_.tell();
  const auto group = static_cast<Uint16>(read_number(2, order));
  const auto element = static_cast<Uint16>(read_number(2, order));
  head.tag = DcmTag(group, element);
  DcmEVR vr = head.tag.getEVR();
  bool is_long = true;
  if (xfer.isExplicitVR() && vr != EVR_na) {
    std::array<char, 3> name{};
    read(name.data(), 2);
    DcmVR named(name.data());
    if (head.tag.getXTag() == DCM_PixelData && std::string_view(name.data()) == "OX") named.setVR(EVR_OW);
    head.tag.setVR(named);
    vr = named.getEVR();
    is_long = vr == EVR_na || named.usesExtendedLengthEncoding();
    if (is_long && vr != EVR_na) read_number(2, order);
  }
  head.length = read_number(is_long ? 4 : 2, order);
  if (is_cut_) return std::nullopt;
  return head;
}

bool Walk::begins_with_item(E_TransferSyntax syntax) {
  const E_ByteOrder order = DcmXfer(syntax).getByteOrder();
  if (in_.avail() < 4) return false;
  in_.mark();
  const bool is_item = read_number(2, order) == 0xfffe && read_number(2, order) == 0xe000;
  in_.putback();
  return is_item;
}

void Walk::count(const Head& head) {
  CMUNET_CHECK(++elements_ <= limits_.max_elements, ErrorCode::kUnsupported, "[dicom] more than ", limits_.max_elements,
               " attributes and items");
  if (head.length <= kMaxHeldValue) held_ += head.length;
  CMUNET_CHECK(held_ <= limits_.max_held, ErrorCode::kUnsupported, "[dicom] more than ", limits_.max_held,
               " bytes in small values");
}

void Walk::skip_value(const Head& head) {
  const std::int64_t begin = in_.tell();
  if (skip(head.length)) return;
  throw Error(ErrorCode::kCorrupt, concat("[dicom] ", head.tag.getXTag().toString().c_str(), " at byte ", head.at,
                                          " claims ", head.length, " bytes; ", in_.tell() - begin, " are there"));
}

void Walk::push(Kind kind, E_TransferSyntax syntax, Uint32 length) {
  const std::int64_t end = length == DCM_UndefinedLength ? kOpen : in_.tell() + std::int64_t{length};
  levels_.push_back({kind, syntax, end, 0, {0, 0}});
  const auto depth = static_cast<std::int64_t>(levels_.size()) / 2;  // a sequence and an item for each
  CMUNET_CHECK(depth <= limits_.max_depth, ErrorCode::kUnsupported, "[dicom] sequences are nested more than ",
               limits_.max_depth, " deep");
}

// Pixel data of the data set itself: what is left of them when the file ends too early is worth having.
bool Walk::is_in_pixel_data() const {
  return !is_deflated_ && levels_.size() == 2 && levels_.back().kind == Kind::kFragments;
}

bool Walk::step() {
  const Level& level = levels_.back();
  if (level.end != kOpen && in_.tell() >= level.end) {
    levels_.pop_back();
    return true;
  }
  const bool is_within_item = level.kind == Kind::kDataset || level.kind == Kind::kItem;
  check_inflation();
  return is_within_item ? step_within_item() : step_within_sequence();
}

bool Walk::step_within_item() {
  Level& level = levels_.back();
  if (level.kind == Kind::kDataset && in_.eos()) return false;
  const std::optional<Head> head = read_head(level.syntax);
  if (!head && has_pixel_data_ && !is_deflated_) return false;
  if (!head) fail_cut_off();
  count(*head);
  const DcmTagKey tag = head->tag.getXTag();
  if (head->tag.getEVR() == EVR_na) {
    const bool is_delimiter = tag == DCM_ItemDelimitationItem || tag == DCM_SequenceDelimitationItem;
    CMUNET_CHECK(is_delimiter, ErrorCode::kCorrupt, "[dicom] ", tag.toString().c_str(), " at byte ", head->at,
                 " where an attribute is expected");
    levels_.pop_back();
    return true;
  }
  if (level.kind == Kind::kDataset && tag > last_tag_) return false;
  if (tag <= level.last) disorder_ += level.elements;
  CMUNET_CHECK(disorder_ <= limits_.max_disorder, ErrorCode::kUnsupported, "[dicom] the attributes are out of order");
  level.last = tag;
  ++level.elements;
  const bool is_too_long =
      level.end != kOpen && head->length != DCM_UndefinedLength && std::int64_t{head->length} > level.end - in_.tell();
  CMUNET_CHECK(!is_too_long, ErrorCode::kCorrupt, "[dicom] ", tag.toString().c_str(), " at byte ", head->at, " claims ",
               head->length, " bytes; its item has ", level.end - in_.tell());
  Content content = content_of(*head);
  const bool is_private = (tag.getGroup() & 1) != 0 && DcmXfer(level.syntax).isImplicitVR();
  if (content == Content::kValue && is_private && begins_with_item(level.syntax)) content = Content::kSequence;
  return enter(*head, content);
}

bool Walk::enter(const Head& head, Content content) {
  const E_TransferSyntax syntax = levels_.back().syntax;
  const bool is_pixel_data = levels_.size() == 1 && head.tag.getXTag() == DCM_PixelData;
  has_pixel_data_ = has_pixel_data_ || is_pixel_data;
  switch (content) {
    case Content::kSequence: push(Kind::kSequence, syntax, head.length); break;
    case Content::kUnknownSequence: push(Kind::kSequence, EXS_LittleEndianImplicit, head.length); break;
    case Content::kFragments: push(Kind::kFragments, syntax, head.length); break;
    case Content::kValue:
      if (is_pixel_data && !is_deflated_) return skip(head.length);
      skip_value(head);
      break;
  }
  return true;
}

bool Walk::step_within_sequence() {
  const Level level = levels_.back();
  const E_ByteOrder order = DcmXfer(level.syntax).getByteOrder();
  Head head;
  head.at = in_.tell();
  const auto group = static_cast<Uint16>(read_number(2, order));
  const auto element = static_cast<Uint16>(read_number(2, order));
  head.tag = DcmTag(group, element);
  head.length = read_number(4, order);
  const bool is_tolerated = is_in_pixel_data();
  if (is_cut_ && is_tolerated) return false;
  if (is_cut_) fail_cut_off();
  count(head);
  const DcmTagKey tag = head.tag.getXTag();
  if (tag == DCM_SequenceDelimitationItem || tag == DCM_ItemDelimitationItem) {
    levels_.pop_back();
    return true;
  }
  if (tag != DCM_Item && is_tolerated) return false;  // DCMTK stops here, too
  CMUNET_CHECK(tag == DCM_Item, ErrorCode::kCorrupt, "[dicom] ", tag.toString().c_str(), " at byte ", head.at,
               " where an item is expected");
  if (level.kind == Kind::kSequence) {
    push(Kind::kItem, level.syntax, head.length);
  } else if (is_tolerated) {
    return skip(head.length);
  } else {
    skip_value(head);
  }
  return true;
}

}  // namespace

void check_structure(const fs::path& file, Part part, const StructureLimits& limits) {
  start_toolkit();
  CMUNET_CHECK(fs::exists(file), ErrorCode::kNotFound, "[dicom] ", file.string(), " is not there");
  CMUNET_CHECK(fs::is_regular_file(file), ErrorCode::kInvalidArgument, "[dicom] ", file.string(), " is no file");
  try {
    Walk(file, part, limits).run();
  } catch (const Error& e) {
    throw Error(e.code(), concat(e.message(), " (", file.string(), ")"), e.hint());
  }
}

std::string storage_class(const fs::path& file) {
  start_toolkit();
  Walk walk(file, Part::kHeader, {});
  try {
    walk.read_meta_header();
  } catch (const Error&) {  // what was found before counts
  }
  return walk.storage_class();
}

}  // namespace cmunet::dicom
