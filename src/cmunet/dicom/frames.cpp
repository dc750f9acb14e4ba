// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/frames.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcfcache.h>
#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dctk.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>

#include "cmunet/dicom/attributes.h"
#include "cmunet/dicom/jpeg2000.h"
#include "cmunet/dicom/palette.h"
#include "cmunet/dicom/rle.h"
#include "cmunet/dicom/toolkit.h"

namespace cmunet::dicom {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kFreeCompressed = std::size_t{1} << 20;  // bytes of a compressed frame, and beyond these
constexpr std::size_t kMaxExpansion = 2;                       // times its pixels
constexpr std::size_t kMaxFragmentsPerFrame = std::size_t{1} << 16;

bool is_jpeg2000(E_TransferSyntax syntax) { return syntax == EXS_JPEG2000LosslessOnly || syntax == EXS_JPEG2000; }

bool is_rle(E_TransferSyntax syntax) { return syntax == EXS_RLELossless; }

bool is_read(E_TransferSyntax syntax) {
  switch (syntax) {
    case EXS_LittleEndianImplicit:
    case EXS_LittleEndianExplicit:
    case EXS_BigEndianExplicit:
    case EXS_DeflatedLittleEndianExplicit:
    case EXS_RLELossless:
    case EXS_JPEGProcess1:
    case EXS_JPEGProcess2_4:
    case EXS_JPEGProcess14:
    case EXS_JPEGProcess14SV1:
    case EXS_JPEGLSLossless:
    case EXS_JPEGLSLossy:
    case EXS_JPEG2000LosslessOnly:
    case EXS_JPEG2000: return true;
    default: return false;
  }
}

int required(DcmItem& dataset, const DcmTagKey& tag, int low, int high) {
  const std::optional<int> value = integer(dataset, tag, low, high);
  CMUNET_CHECK(value, ErrorCode::kCorrupt, "[dicom] ", DcmTag(tag).getTagName(), " is missing");
  return *value;
}

// The terms of PS3.3 C.7.6.3.1.2, also retired ones; other text may be anything, also a name.
std::string photometric_name(const std::string& photometric) {
  constexpr std::array<std::string_view, 14> kTerms{
      "MONOCHROME1",  "MONOCHROME2",     "PALETTE COLOR",   "RGB",     "HSV",     "ARGB", "CMYK", "YBR_FULL",
      "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "XYB"};
  return std::ranges::find(kTerms, photometric) != kTerms.end() ? photometric : "an unknown kind";
}

// One sample of a frame, shifted and sign-extended from its cell: overlay bits above or below are left out.
struct StoredValue {
  explicit StoredValue(const PixelFormat& format)
      : shift(format.high_bit + 1 - format.bits_stored),
        mask((1 << format.bits_stored) - 1),
        sign(format.is_signed ? 1 << (format.bits_stored - 1) : 0) {}
  int operator()(int cell) const {
    const int value = (cell >> shift) & mask;
    return (value ^ sign) - sign;
  }
  int shift, mask, sign;
};

// Frame as decoded: cells of one or two bytes, colour by pixel or by plane.
struct Cells {
  Bytes bytes;
  int bytes_per_cell = 1;
  bool is_planar = false;
  bool is_luma_first = false;  ///< YBR: the first sample is the grey value
};

image::ImageF to_grey(const Cells& cells, const PixelFormat& format) {
  image::ImageF grey(format.height, format.width);
  const std::size_t pixels = grey.size();
  const StoredValue stored(format);
  const auto at = [&](std::size_t i) {
    const std::uint8_t* p = cells.bytes.data() + i * static_cast<std::size_t>(cells.bytes_per_cell);
    return stored(cells.bytes_per_cell == 1 ? p[0] : p[0] | p[1] << 8);
  };
  const auto samples = static_cast<std::size_t>(format.samples);
  for (std::size_t i = 0; i < pixels; ++i) {
    const std::size_t first = cells.is_planar ? i : i * samples;
    const std::size_t step = cells.is_planar ? pixels : 1;
    if (samples == 1 || cells.is_luma_first) {
      grey.data()[i] = static_cast<float>(at(first));
    } else {  // ITU-R BT.601
      grey.data()[i] = static_cast<float>(0.299 * at(first) + 0.587 * at(first + step) + 0.114 * at(first + 2 * step));
    }
  }
  return grey;
}

}  // namespace

PixelFormat read_pixel_format(DcmDataset& dataset, std::vector<std::string>& oddities) {
  const DcmXfer syntax(dataset.getOriginalXfer());
  CMUNET_CHECK(dataset.tagExists(DCM_PixelData), ErrorCode::kUnsupported,
               "[dicom] the object has no pixel data (its modality is ", modality_name(text(dataset, DCM_Modality)),
               "); expected an X-ray image");
  if (!is_read(syntax.getXfer())) refuse_syntax(syntax.getXferID());
  PixelFormat format;
  format.transfer_syntax = syntax.getXferID();
  format.height = required(dataset, DCM_Rows, 1, 65535);
  format.width = required(dataset, DCM_Columns, 1, 65535);
  CMUNET_CHECK(std::int64_t{format.height} * format.width <= kMaxFramePixels, ErrorCode::kUnsupported,
               "[dicom] a frame of ", format.height, "x", format.width, " pixels; at most ", kMaxFramePixels,
               " are read");
  format.frames = integer(dataset, DCM_NumberOfFrames, 0, 1 << 30).value_or(1);
  if (format.frames == 0) {
    format.frames = 1;
    oddities.emplace_back("Number of Frames is 0; read as one frame");
  }
  format.samples = integer(dataset, DCM_SamplesPerPixel, 1, 4).value_or(1);
  format.photometric = text(dataset, DCM_PhotometricInterpretation);
  if (format.photometric.empty()) {
    format.photometric = format.samples == 1 ? "MONOCHROME2" : "RGB";
    oddities.push_back("Photometric Interpretation is missing; read as " + format.photometric);
  }
  const bool is_grey = format.samples == 1 && (format.photometric.starts_with("MONOCHROME") || format.has_palette());
  const bool is_colour = format.samples == 3 && (format.photometric == "RGB" || format.photometric.starts_with("YBR_"));
  CMUNET_CHECK(is_grey || is_colour, ErrorCode::kUnsupported, "[dicom] ", format.samples, " samples per pixel of ",
               photometric_name(format.photometric),
               "; expected one of MONOCHROME1, MONOCHROME2 or PALETTE COLOR, or three of RGB or YBR");
  format.bits_allocated = required(dataset, DCM_BitsAllocated, 1, 64);
  if (format.bits_allocated != 8 && format.bits_allocated != 16) {
    const bool is_packed = format.bits_allocated == 12;  // two samples in three bytes, a form that is retired
    throw Error(ErrorCode::kUnsupported,
                concat("[dicom] Bits Allocated is ", format.bits_allocated, "; expected 8 or 16"),
                is_packed ? "dcmcjpls (Debian: dcmtk) unpacks the samples and writes them as JPEG-LS" : "");
  }
  format.bits_stored = integer(dataset, DCM_BitsStored, 1, format.bits_allocated).value_or(format.bits_allocated);
  format.high_bit = integer(dataset, DCM_HighBit, 0, format.bits_allocated - 1).value_or(format.bits_stored - 1);
  if (format.high_bit + 1 < format.bits_stored) {
    oddities.push_back(concat("High Bit ", format.high_bit, " is below Bits Stored ", format.bits_stored, "; read as ",
                              format.bits_stored - 1));
    format.high_bit = format.bits_stored - 1;
  }
  format.is_signed = integer(dataset, DCM_PixelRepresentation, 0, 1).value_or(0) == 1 && !format.has_palette();
  format.is_planar = format.samples > 1 && integer(dataset, DCM_PlanarConfiguration, 0, 1).value_or(0) == 1;
  return format;
}

struct FrameReader::Data {
  DcmPixelData* pixels = nullptr;
  std::vector<DcmPixelItem*> fragments;            ///< the first is the offset table; none for native pixel data
  std::vector<std::vector<unsigned long>> frames;  ///< fragments of each frame
  PixelFormat format;
  std::optional<Palette> palette;
  E_TransferSyntax syntax = EXS_Unknown;
  mutable DcmFileCache cache;  ///< keeps the file open between frames

  std::size_t cells_per_frame() const {
    return static_cast<std::size_t>(format.height) * static_cast<std::size_t>(format.width) *
           static_cast<std::size_t>(format.samples);
  }
  std::size_t frame_bytes() const { return cells_per_frame() * static_cast<std::size_t>(format.bits_allocated / 8); }

  DcmPixelItem& fragment(unsigned long index) const { return *fragments[index]; }

  bool begins_a_codestream(unsigned long index) const {
    DcmPixelItem& item = fragment(index);
    std::uint8_t head[4] = {};
    if (item.getLength() < sizeof head || item.getPartialValue(head, 0, sizeof head, &cache).bad()) return false;
    if (is_jpeg2000(syntax)) return head[0] == 0xff && head[1] == 0x4f && head[2] == 0xff && head[3] == 0x51;
    return head[0] == 0xff && head[1] == 0xd8 && head[2] == 0xff;
  }

  // The Basic Offset Table, as fragment indices where frames begin; empty when it is empty or wrong.
  std::vector<unsigned long> starts_by_offset_table() const {
    DcmPixelItem& table = fragment(0);
    const Uint32 length = table.getLength();
    const std::size_t entries = length / 4;
    if (length % 4 != 0 || entries != static_cast<std::size_t>(format.frames) || entries >= fragments.size()) return {};
    std::vector<std::uint8_t> bytes(length);
    if (table.getPartialValue(bytes.data(), 0, length, &cache).bad()) return {};
    std::vector<unsigned long> starts;
    std::uint64_t at = 0;
    for (unsigned long i = 1; i < fragments.size() && starts.size() < entries; ++i) {
      const std::uint8_t* p = bytes.data() + 4 * starts.size();
      const std::uint32_t offset =
          p[0] | std::uint32_t{p[1]} << 8 | std::uint32_t{p[2]} << 16 | std::uint32_t{p[3]} << 24;
      if (offset == at) starts.push_back(i);
      at += 8 + std::uint64_t{fragment(i).getLength()};
    }
    return starts.size() == entries && starts.front() == 1 ? starts : std::vector<unsigned long>{};
  }

  std::vector<unsigned long> starts_by_content() const {
    std::vector<unsigned long> starts;
    for (unsigned long i = 1; i < fragments.size(); ++i) {
      if (begins_a_codestream(i)) starts.push_back(i);
    }
    return !starts.empty() && starts.front() == 1 ? starts : std::vector<unsigned long>{};
  }

  // How many bytes of native pixel data can be read: fewer than their length says in a file that is cut off.
  Uint32 bytes_there() const {
    const auto can_be_read = [this](Uint32 at) {
      std::uint8_t byte = 0;
      return pixels->getPartialValue(&byte, at, 1, &cache, EBO_LittleEndian).good();
    };
    Uint32 low = 0, high = pixels->getLength();  // all below `low` can be read, nothing from `high` on
    if (high > 0 && can_be_read(high - 1)) return high;
    while (low < high) {
      const Uint32 middle = low + (high - low) / 2;
      (can_be_read(middle) ? low : high) = can_be_read(middle) ? middle + 1 : middle;
    }
    return low;
  }
  image::ImageF stored(int index) const;
  void find_fragments(std::vector<std::string>& oddities);
  void find_native(std::vector<std::string>& oddities);
  Bytes compressed(int index) const;
  Cells decode_jpeg(Bytes bytes) const;
  Cells decode(int index) const;
};

void FrameReader::Data::find_native(std::vector<std::string>& oddities) {
  CMUNET_CHECK(!format.photometric.starts_with("YBR_FULL_422") && !format.photometric.starts_with("YBR_PARTIAL"),
               ErrorCode::kUnsupported, "[dicom] uncompressed ", photometric_name(format.photometric), " is not read");
  const Uint32 length = bytes_there();
  const auto there = static_cast<std::int64_t>(length / frame_bytes());
  CMUNET_CHECK(there >= 1, ErrorCode::kCorrupt, "[dicom] pixel data have ", length, " bytes; a frame needs ",
               frame_bytes());
  if (there < format.frames) {
    oddities.push_back(
        concat("Number of Frames says ", format.frames, ", the pixel data hold ", there, "; only these are read"));
    format.frames = static_cast<int>(there);
  }
}

void FrameReader::Data::find_fragments(std::vector<std::string>& oddities) {
  const unsigned long count = fragments.empty() ? 0 : fragments.size() - 1;  // the first is the offset table
  CMUNET_CHECK(count > 0, ErrorCode::kCorrupt, "[dicom] the pixel data are empty");
  std::vector<unsigned long> starts;
  if (format.frames == 1) {
    starts = {1};
  } else if (count == static_cast<unsigned long>(format.frames) || is_rle(syntax)) {
    starts.resize(count);  // one fragment for each frame; then no table is needed, and a wrong one does no harm
    std::iota(starts.begin(), starts.end(), 1UL);
  } else {
    starts = starts_by_offset_table();
    if (starts.empty() || !std::ranges::all_of(starts, [&](unsigned long i) { return begins_a_codestream(i); })) {
      starts = starts_by_content();
      oddities.emplace_back("the Basic Offset Table is empty or wrong; frames were found by their first bytes");
    }
  }
  CMUNET_CHECK(!starts.empty(), ErrorCode::kCorrupt, "[dicom] ", count, " fragments of pixel data for ", format.frames,
               " frames, and no way to tell which belongs to which");
  if (starts.size() != static_cast<std::size_t>(format.frames)) {
    oddities.push_back(concat("Number of Frames says ", format.frames, ", the pixel data hold ", starts.size()));
    format.frames = static_cast<int>(std::min(starts.size(), static_cast<std::size_t>(format.frames)));
  }
  for (int i = 0; i < format.frames; ++i) {
    const auto k = static_cast<std::size_t>(i);
    const unsigned long end = k + 1 < starts.size() ? starts[k + 1] : count + 1;
    CMUNET_CHECK(end - starts[k] <= kMaxFragmentsPerFrame, ErrorCode::kUnsupported, "[dicom] a frame in ",
                 end - starts[k], " fragments");
    frames.emplace_back(end - starts[k]);
    std::iota(frames.back().begin(), frames.back().end(), starts[k]);
  }
}

Bytes FrameReader::Data::compressed(int index) const {
  std::uint64_t total = 0;
  for (const unsigned long i : frames[static_cast<std::size_t>(index)]) total += fragment(i).getLength();
  CMUNET_CHECK(total > 0 && total <= kFreeCompressed + kMaxExpansion * frame_bytes(), ErrorCode::kCorrupt,
               "[dicom] frame ", index, " has ", total, " bytes compressed, and ", frame_bytes(), " when it is not");
  Bytes bytes(total);
  std::size_t at = 0;
  for (const unsigned long i : frames[static_cast<std::size_t>(index)]) {
    DcmPixelItem& item = fragment(i);
    const Uint32 length = item.getLength();
    if (length == 0) continue;
    const bool read = item.getPartialValue(bytes.data() + at, 0, length, &cache).good();
    CMUNET_CHECK(read, ErrorCode::kCorrupt, "[dicom] frame ", index, " is cut off");
    at += length;
  }
  return bytes;
}

// Decodes through DCMTK as an object of one frame in one fragment, so that its codecs never search among fragments.
Cells FrameReader::Data::decode_jpeg(Bytes bytes) const {
  const CodestreamSize size = read_codestream_size(bytes, format.transfer_syntax);
  CMUNET_CHECK(size.height == format.height && size.width == format.width && size.components == format.samples &&
                   size.precision >= 2 && size.precision <= 16,
               ErrorCode::kCorrupt, "[dicom] a frame is ", size.height, "x", size.width, " with ", size.components,
               " component(s) of ", size.precision, " bits; the header says ", format.height, "x", format.width,
               " with ", format.samples);
  if (syntax == EXS_JPEGProcess14 || syntax == EXS_JPEGProcess14SV1) check_lossless_tables(bytes);
  const int bits = size.precision > 8 ? 16 : 8;
  DcmDataset single;
  single.putAndInsertUint16(DCM_SamplesPerPixel, static_cast<Uint16>(format.samples));
  single.putAndInsertString(DCM_PhotometricInterpretation, format.photometric.c_str());
  single.putAndInsertString(DCM_NumberOfFrames, "1");
  single.putAndInsertUint16(DCM_Rows, static_cast<Uint16>(format.height));
  single.putAndInsertUint16(DCM_Columns, static_cast<Uint16>(format.width));
  single.putAndInsertUint16(DCM_BitsAllocated, static_cast<Uint16>(bits));
  single.putAndInsertUint16(DCM_BitsStored, static_cast<Uint16>(size.precision));
  single.putAndInsertUint16(DCM_HighBit, static_cast<Uint16>(size.precision - 1));
  single.putAndInsertUint16(DCM_PixelRepresentation, format.is_signed ? 1 : 0);
  if (format.samples > 1) single.putAndInsertUint16(DCM_PlanarConfiguration, 0);
  auto sequence = std::make_unique<DcmPixelSequence>(DCM_PixelSequenceTag);
  auto item = std::make_unique<DcmPixelItem>(DCM_PixelItemTag);
  item->putUint8Array(bytes.data(), static_cast<unsigned long>(bytes.size()));
  bytes = Bytes();
  sequence->insert(std::make_unique<DcmPixelItem>(DCM_PixelItemTag).release());
  sequence->insert(item.release());
  auto element = std::make_unique<DcmPixelData>(DCM_PixelData);
  element->putOriginalRepresentation(syntax, nullptr, sequence.release());
  DcmPixelData& compressed_pixels = *element;
  single.insert(element.release(), OFTrue);

  Cells cells;
  cells.bytes_per_cell = bits / 8;
  const std::size_t length = cells_per_frame() * static_cast<std::size_t>(cells.bytes_per_cell);
  cells.bytes.resize(length + length % 2);
  Uint32 start = 0;
  OFString model;
  const OFCondition condition = compressed_pixels.getUncompressedFrame(&single, 0, start, cells.bytes.data(),
                                                                       static_cast<Uint32>(cells.bytes.size()), model);
  CMUNET_CHECK(condition.good(), ErrorCode::kCorrupt, "[dicom] a frame cannot be decoded: ", condition.text());
  cells.is_luma_first = format.samples == 3 && std::string(model.c_str()).starts_with("YBR");
  return cells;
}

Cells FrameReader::Data::decode(int index) const {
  if (!fragments.empty() && !is_rle(syntax)) return decode_jpeg(compressed(index));
  Cells cells;
  cells.bytes_per_cell = format.bits_allocated / 8;
  cells.is_luma_first = format.photometric.starts_with("YBR");
  if (!fragments.empty()) {
    const std::size_t count = cells_per_frame() / static_cast<std::size_t>(format.samples);
    cells.bytes = decode_rle(compressed(index), count, format.samples, cells.bytes_per_cell);
    return cells;
  }
  cells.bytes.resize(frame_bytes());
  cells.is_planar = format.is_planar;
  const auto offset = static_cast<std::uint64_t>(index) * frame_bytes();
  const bool read = pixels
                        ->getPartialValue(cells.bytes.data(), static_cast<Uint32>(offset),
                                          static_cast<Uint32>(frame_bytes()), &cache, EBO_LittleEndian)
                        .good();
  CMUNET_CHECK(read, ErrorCode::kCorrupt, "[dicom] the pixels of frame ", index, " cannot be read");
  return cells;
}

// Colour as its luma, indices as they are.
image::ImageF FrameReader::Data::stored(int index) const {
  if (fragments.empty() || !is_jpeg2000(syntax)) return to_grey(decode(index), format);
  const std::vector<std::int32_t> values =
      decode_jpeg2000(compressed(index), format.height, format.width, format.samples);
  image::ImageF grey(format.height, format.width);
  if (format.samples == 1) {
    // The data set says what the bits mean, also where the code stream says otherwise; its values begin at bit 0.
    PixelFormat of_values = format;
    of_values.high_bit = format.bits_stored - 1;
    std::transform(values.begin(), values.end(), grey.begin(),
                   [value = StoredValue(of_values)](std::int32_t cell) { return static_cast<float>(value(cell)); });
    return grey;
  }
  const bool is_luma_first = format.photometric == "YBR_FULL";  // otherwise decoding has made it RGB
  for (std::size_t i = 0; i < grey.size(); ++i) {
    const std::int32_t* p = values.data() + i * static_cast<std::size_t>(format.samples);
    grey.data()[i] =
        static_cast<float>(is_luma_first ? static_cast<double>(p[0]) : 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]);
  }
  return grey;
}

FrameReader::FrameReader(DcmDataset& dataset, PixelFormat& format, std::vector<std::string>& oddities)
    : data_(std::make_unique<Data>()) {
  DcmElement* element = nullptr;
  dataset.findAndGetElement(DCM_PixelData, element);
  data_->pixels = dynamic_cast<DcmPixelData*>(element);
  CMUNET_CHECK(data_->pixels != nullptr, ErrorCode::kCorrupt, "[dicom] the pixel data are of a wrong kind");
  data_->format = format;
  if (format.has_palette()) data_->palette = read_palette(dataset);
  const DcmRepresentationParameter* parameter = nullptr;
  data_->pixels->getOriginalRepresentationKey(data_->syntax, parameter);
  if (is_encapsulated(DcmXfer(data_->syntax))) {
    DcmPixelSequence* sequence = nullptr;
    data_->pixels->getEncapsulatedRepresentation(data_->syntax, parameter, sequence);
    CMUNET_CHECK(sequence != nullptr, ErrorCode::kCorrupt, "[dicom] the pixel data hold no fragments");
    for (DcmObject* object = sequence->nextInContainer(nullptr); object != nullptr;
         object = sequence->nextInContainer(object)) {
      if (auto* item = dynamic_cast<DcmPixelItem*>(object)) data_->fragments.push_back(item);
    }
    data_->find_fragments(oddities);
  } else {
    data_->find_native(oddities);
  }
  format.frames = data_->format.frames;
}

FrameReader::~FrameReader() = default;
FrameReader::FrameReader(FrameReader&&) noexcept = default;
FrameReader& FrameReader::operator=(FrameReader&&) noexcept = default;

image::ImageF FrameReader::read(int index) const {
  CMUNET_CHECK(index >= 0 && index < data_->format.frames, ErrorCode::kInvalidArgument, "[dicom] frame ", index,
               " is not there; the run has ", data_->format.frames);
  image::ImageF grey = data_->stored(index);
  if (data_->palette) std::transform(grey.begin(), grey.end(), grey.begin(), *data_->palette);
  return grey;
}

}  // namespace cmunet::dicom
