// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/made_run.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcostrmb.h>
#include <dcmtk/dcmdata/dcpath.h>
#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcrleerg.h>
#include <dcmtk/dcmdata/dcrlerp.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmimage/diregist.h>  // lets the encoders see colour
#include <dcmtk/dcmjpeg/djencode.h>
#include <dcmtk/dcmjpeg/djrplol.h>
#include <dcmtk/dcmjpeg/djrploss.h>
#include <dcmtk/dcmjpls/djencode.h>
#include <dcmtk/dcmjpls/djrparam.h>
#include <openjpeg.h>

#include <algorithm>
#include <memory>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/dicom/toolkit.h"

namespace cmunet::dicom {
namespace {

using Bytes = std::vector<Uint8>;

void check(const OFCondition& condition, const std::string& what) {
  CMUNET_CHECK(condition.good(), ErrorCode::kInternal, "[made run] ", what, ": ", condition.text());
}

void start_encoders() {
  static const bool started = [] {
    start_toolkit();
    DJEncoderRegistration::registerCodecs();
    DJLSEncoderRegistration::registerCodecs();
    DcmRLEEncoderRegistration::registerCodecs();
    return true;
  }();
  static_cast<void>(started);
}

std::vector<int> cells_of(const MadeRun& run, int frame) {
  std::vector<int> cells;
  const auto add = [&](int y, int x, int s) { cells.push_back(run.cell(frame, y, x, s)); };
  for (int plane = 0; plane < (run.is_planar ? run.samples : 1); ++plane) {
    for (int y = 0; y < run.height; ++y) {
      for (int x = 0; x < run.width; ++x) {
        for (int s = 0; s < (run.is_planar ? 1 : run.samples); ++s) add(y, x, run.is_planar ? plane : s);
      }
    }
  }
  return cells;
}

void put_native_pixels(const MadeRun& run, DcmDataset& dataset) {
  std::vector<Uint8> bytes;
  std::vector<Uint16> words;
  for (int f = 0; f < run.frames; ++f) {
    for (const int cell : cells_of(run, f)) {
      bytes.push_back(static_cast<Uint8>(cell));
      words.push_back(static_cast<Uint16>(cell));
    }
  }
  if (run.bits_allocated == 8) {
    const auto count = static_cast<unsigned long>(bytes.size());
    check(dataset.putAndInsertUint8Array(DCM_PixelData, bytes.data(), count), "pixels");
  } else {
    check(dataset.putAndInsertUint16Array(DCM_PixelData, words.data(), static_cast<unsigned long>(words.size())),
          "pixels");
  }
}

OPJ_SIZE_T append(void* buffer, OPJ_SIZE_T size, void* user) {
  auto& out = *static_cast<Bytes*>(user);
  const auto* bytes = static_cast<const Uint8*>(buffer);
  out.insert(out.end(), bytes, bytes + size);
  return size;
}

Bytes encode_jpeg2000(const MadeRun& run, int frame) {
  std::vector<opj_image_cmptparm_t> components(static_cast<std::size_t>(run.samples));
  for (auto& c : components) {
    c = {};
    c.dx = c.dy = 1;
    c.w = static_cast<OPJ_UINT32>(run.width);
    c.h = static_cast<OPJ_UINT32>(run.height);
    c.prec = static_cast<OPJ_UINT32>(run.bits_stored);
    c.sgnd = run.is_signed ? 1 : 0;
  }
  const std::unique_ptr<opj_image_t, decltype(&opj_image_destroy)> image(
      opj_image_create(static_cast<OPJ_UINT32>(run.samples), components.data(),
                       run.samples == 1 ? OPJ_CLRSPC_GRAY : OPJ_CLRSPC_SRGB),
      &opj_image_destroy);
  image->x1 = static_cast<OPJ_UINT32>(run.width);
  image->y1 = static_cast<OPJ_UINT32>(run.height);
  for (int s = 0; s < run.samples; ++s) {
    OPJ_INT32* out = image->comps[s].data;
    for (int y = 0; y < run.height; ++y) {
      for (int x = 0; x < run.width; ++x) *out++ = run.cell(frame, y, x, s);
    }
  }
  opj_cparameters_t parameters;
  opj_set_default_encoder_parameters(&parameters);
  parameters.numresolution = 2;
  parameters.tcp_mct = run.samples == 3 ? 1 : 0;
  const std::unique_ptr<opj_codec_t, decltype(&opj_destroy_codec)> codec(opj_create_compress(OPJ_CODEC_J2K),
                                                                         &opj_destroy_codec);
  opj_setup_encoder(codec.get(), &parameters, image.get());
  Bytes bytes;
  const std::unique_ptr<opj_stream_t, decltype(&opj_stream_destroy)> stream(opj_stream_create(1 << 16, OPJ_FALSE),
                                                                            &opj_stream_destroy);
  opj_stream_set_user_data(stream.get(), &bytes, nullptr);
  opj_stream_set_write_function(stream.get(), append);
  const bool done = opj_start_compress(codec.get(), image.get(), stream.get()) == OPJ_TRUE &&
                    opj_encode(codec.get(), stream.get()) == OPJ_TRUE &&
                    opj_end_compress(codec.get(), stream.get()) == OPJ_TRUE;
  CMUNET_CHECK(done, ErrorCode::kInternal, "[made run] JPEG 2000 failed");
  return bytes;
}

// The code streams that DCMTK made of the native pixels.
std::vector<Bytes> encode_by_dcmtk(DcmDataset& dataset, E_TransferSyntax syntax) {
  const DJ_RPLossless lossless;
  const DJ_RPLossy lossy(98);
  const DJLSRepresentationParameter jpeg_ls(0, OFTrue);
  const DcmRLERepresentationParameter rle;
  const DcmRepresentationParameter* parameter = &lossless;
  if (syntax == EXS_JPEGProcess1 || syntax == EXS_JPEGProcess2_4) parameter = &lossy;
  if (syntax == EXS_JPEGLSLossless) parameter = &jpeg_ls;
  if (syntax == EXS_RLELossless) parameter = &rle;
  check(dataset.chooseRepresentation(syntax, parameter), "encoding");
  DcmElement* element = nullptr;
  dataset.findAndGetElement(DCM_PixelData, element);
  auto& pixels = dynamic_cast<DcmPixelData&>(*element);
  pixels.getCurrentRepresentationKey(syntax, parameter);  // the encoder may have put another parameter
  DcmPixelSequence* sequence = nullptr;
  check(pixels.getEncapsulatedRepresentation(syntax, parameter, sequence), "fragments");
  std::vector<Bytes> frames;
  for (unsigned long i = 1; i < sequence->card(); ++i) {
    DcmPixelItem* item = nullptr;
    sequence->getItem(item, i);
    Uint8* bytes = nullptr;
    item->getUint8Array(bytes);
    frames.emplace_back(bytes, bytes + item->getLength());
  }
  return frames;
}

void put_fragments(const MadeRun& run, DcmDataset& dataset, E_TransferSyntax syntax, std::vector<Bytes> frames) {
  auto sequence = std::make_unique<DcmPixelSequence>(DCM_PixelSequenceTag);
  std::vector<Uint8> table;
  Uint32 at = 0;
  std::vector<std::unique_ptr<DcmPixelItem>> items;
  for (Bytes& frame : frames) {
    for (int shift = 0; shift < 32; shift += 8) table.push_back(static_cast<Uint8>(at >> shift));
    const std::size_t parts = static_cast<std::size_t>(run.fragments_per_frame);
    const std::size_t step = (frame.size() / parts + 1) / 2 * 2;  // fragments have even lengths
    for (std::size_t part = 0; part < parts; ++part) {
      const std::size_t begin = part * step, end = part + 1 == parts ? frame.size() : begin + step;
      Bytes bytes(frame.begin() + static_cast<long>(begin), frame.begin() + static_cast<long>(end));
      if (bytes.size() % 2 != 0) bytes.push_back(0);
      items.push_back(std::make_unique<DcmPixelItem>(DCM_PixelItemTag));
      check(items.back()->putUint8Array(bytes.data(), static_cast<unsigned long>(bytes.size())), "fragment");
      at += 8 + static_cast<Uint32>(bytes.size());
    }
  }
  if (run.offset_table == OffsetTable::kEmpty) table.clear();
  if (run.offset_table == OffsetTable::kWrong) std::ranges::fill(table, Uint8{6});
  auto offsets = std::make_unique<DcmPixelItem>(DCM_PixelItemTag);
  if (!table.empty()) offsets->putUint8Array(table.data(), static_cast<unsigned long>(table.size()));
  sequence->insert(offsets.release());
  for (auto& item : items) sequence->insert(item.release());
  auto element = std::make_unique<DcmPixelData>(DCM_PixelData);
  element->putOriginalRepresentation(syntax, nullptr, sequence.release());
  dataset.insert(element.release(), OFTrue);
}

void put_attributes(const MadeRun& run, DcmDataset& dataset) {
  const auto put = [&](const std::string& assignment) {
    DcmPathProcessor processor;
    check(processor.applyPathWithValue(&dataset, assignment.c_str()), assignment);
  };
  for (const char* fixed : {"SOPClassUID=1.2.840.10008.5.1.4.1.1.12.1", "SOPInstanceUID=1.2.826.0.1.3680043.2.1143.3",
                            "StudyInstanceUID=1.2.826.0.1.3680043.2.1143.1", "Modality=XA", "InstanceNumber=1",
                            "SeriesInstanceUID=1.2.826.0.1.3680043.2.1143.2", "PatientName=Made^Up", "PatientID=MADE1",
                            "StudyDate=20200102"}) {
    put(fixed);
  }
  put(concat("NumberOfFrames=", run.frames));
  put(concat("SamplesPerPixel=", run.samples));
  put("PhotometricInterpretation=" + run.photometric);
  put(concat("Rows=", run.height));
  put(concat("Columns=", run.width));
  put(concat("BitsAllocated=", run.bits_allocated));
  put(concat("BitsStored=", run.bits_stored));
  put(concat("HighBit=", run.high_bit));
  put(concat("PixelRepresentation=", run.is_signed ? 1 : 0));
  if (run.samples > 1) put(concat("PlanarConfiguration=", run.is_planar ? 1 : 0));
}

}  // namespace

const std::vector<MadeSyntax>& made_syntaxes() {
  static const std::vector<MadeSyntax> all{
      {"implicit", UID_LittleEndianImplicitTransferSyntax, true, 16},
      {"explicit", UID_LittleEndianExplicitTransferSyntax, true, 16},
      {"big endian", UID_BigEndianExplicitTransferSyntax, true, 16},
      {"deflated", UID_DeflatedExplicitVRLittleEndianTransferSyntax, true, 16},
      {"RLE", UID_RLELosslessTransferSyntax, true, 16},
      {"JPEG lossless", UID_JPEGProcess14TransferSyntax, true, 16},
      {"JPEG lossless SV1", UID_JPEGProcess14SV1TransferSyntax, true, 16},
      {"JPEG-LS", UID_JPEGLSLosslessTransferSyntax, true, 16},
      {"JPEG 2000", UID_JPEG2000LosslessOnlyTransferSyntax, true, 16},
      {"JPEG baseline", UID_JPEGProcess1TransferSyntax, false, 8},
      {"JPEG extended", UID_JPEGProcess2_4TransferSyntax, false, 12},
  };
  return all;
}

std::string make_run(const MadeRun& run) {
  start_encoders();
  const DcmXfer syntax(run.syntax.c_str());
  DcmFileFormat object;
  DcmDataset& dataset = *object.getDataset();
  put_attributes(run, dataset);
  if (!run.has_pixels) {
  } else if (syntax.getXfer() == EXS_JPEG2000LosslessOnly) {
    std::vector<Bytes> frames;
    for (int f = 0; f < run.frames; ++f) frames.push_back(encode_jpeg2000(run, f));
    put_fragments(run, dataset, syntax.getXfer(), std::move(frames));
  } else {
    put_native_pixels(run, dataset);
    if (is_encapsulated(syntax)) {
      std::vector<Bytes> frames = encode_by_dcmtk(dataset, syntax.getXfer());
      put_fragments(run, dataset, syntax.getXfer(), std::move(frames));
    }
  }
  for (const std::string& assignment : run.attributes) {
    DcmPathProcessor processor;
    check(processor.applyPathWithValue(&dataset, assignment.c_str()), assignment);
  }
  const E_FileWriteMode mode = run.has_preamble ? EWM_fileformat : EWM_dataset;
  const std::size_t pixels = static_cast<std::size_t>(run.frames) * static_cast<std::size_t>(run.height * run.width);
  std::string bytes((std::size_t{1} << 20) + 4 * pixels * static_cast<std::size_t>(run.samples), '\0');
  DcmOutputBufferStream stream(bytes.data(), static_cast<offile_off_t>(bytes.size()));
  object.transferInit();
  check(mode == EWM_fileformat ? object.write(stream, syntax.getXfer(), EET_UndefinedLength, nullptr)
                               : dataset.write(stream, syntax.getXfer(), EET_ExplicitLength, nullptr),
        "writing");
  object.transferEnd();
  stream.flush();
  void* written = nullptr;
  offile_off_t count = 0;
  stream.flushBuffer(written, count);
  bytes.resize(static_cast<std::size_t>(count));
  return bytes;
}

void write_run(const MadeRun& run, const std::filesystem::path& file) { write_file_atomic(file, make_run(run)); }

}  // namespace cmunet::dicom
