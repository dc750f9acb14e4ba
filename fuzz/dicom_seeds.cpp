// SPDX-License-Identifier: Apache-2.0
#include "dicom_seeds.h"

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/dicom/made_bytes.h"
#include "cmunet/dicom/made_run.h"
#include "cmunet/dicom/segmentation_object.h"

namespace cmunet::fuzz {
namespace {

using dicom::MadeRun;
using dicom::OffsetTable;

MadeRun small_run(const std::string& syntax) {
  MadeRun made;
  made.syntax = syntax;
  made.frames = 2;
  made.height = 6;
  made.width = 8;
  return made;
}

// Every attribute that reading looks at.
std::vector<std::string> full_header() {
  return {"PatientName=A^B",
          "PixelSpacing=0.2\\0.3",
          "PixelSpacingCalibrationType=FIDUCIAL",
          "ImagerPixelSpacing=0.3\\0.3",
          "EstimatedRadiographicMagnificationFactor=1.3",
          "DistanceSourceToDetector=1000",
          "DistanceSourceToPatient=750",
          "PositionerPrimaryAngle=-30",
          "PixelAspectRatio=1\\1",
          "FrameTimeVector=0\\66",
          "PixelIntensityRelationship=LIN",
          "RescaleSlope=2",
          "RescaleIntercept=-3",
          "WindowCenter=100\\50",
          "WindowWidth=200\\90",
          "VOILUTFunction=SIGMOID",
          "ModalityLUTSequence[0].LUTDescriptor=4\\0\\16",
          "ModalityLUTSequence[0].LUTData=1\\2\\3\\4",
          "VOILUTSequence[0].LUTDescriptor=4\\0\\8",
          "VOILUTSequence[0].LUTData=1\\2\\3\\4",
          "ShutterShape=RECTANGULAR\\CIRCULAR\\POLYGONAL",
          "ShutterLeftVerticalEdge=2",
          "ShutterRightVerticalEdge=7",
          "CenterOfCircularShutter=3\\4",
          "RadiusOfCircularShutter=5",
          "VerticesOfThePolygonalShutter=1\\1\\6\\1\\6\\8",
          "(6000,0010)=6",
          "(6000,0011)=8",
          "(6000,0050)=1\\1",
          "(6000,0102)=0",
          "(0029,0010)=PRIVATE",
          "SharedFunctionalGroupsSequence[0].XRayGeometrySequence[0].DistanceSourceToDetector=900",
          "PerFrameFunctionalGroupsSequence[0].FrameVOILUTSequence[0].WindowCenter=90",
          "PerFrameFunctionalGroupsSequence[0].FrameVOILUTSequence[0].WindowWidth=20"};
}

void add_runs(std::vector<Seed>& seeds) {
  for (const dicom::MadeSyntax& syntax : dicom::made_syntaxes()) {
    MadeRun made = small_run(syntax.uid);
    seeds.push_back({syntax.name, make_run(made)});
    made.attributes = full_header();
    made.offset_table = OffsetTable::kEmpty;
    made.fragments_per_frame = syntax.is_lossless && std::string(syntax.name) != "RLE" ? 2 : 1;
    seeds.push_back({concat(syntax.name, " full header"), make_run(made)});
    if (syntax.max_bits < 12) continue;
    made = small_run(syntax.uid);
    made.bits_allocated = 16, made.bits_stored = 12, made.high_bit = 11;
    made.photometric = "MONOCHROME1";
    made.is_signed = syntax.is_lossless;
    made.offset_table = OffsetTable::kWrong;
    seeds.push_back({concat(syntax.name, " 12 bits"), make_run(made)});
  }
  for (const char* uid : {"1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"}) {
    MadeRun colour = small_run(uid);
    colour.samples = 3;
    colour.photometric = "RGB";
    seeds.push_back({concat("colour ", uid), make_run(colour)});
  }
  MadeRun palette = small_run("1.2.840.10008.1.2.1");
  palette.photometric = "PALETTE COLOR";
  for (const char* name : {"Red", "Green", "Blue"}) {
    palette.attributes.push_back(concat(name, "PaletteColorLookupTableDescriptor=4\\2\\16"));
    palette.attributes.push_back(concat(name, "PaletteColorLookupTableData=0\\8000\\4000\\ffff"));
  }
  seeds.push_back({"palette", make_run(palette)});
  MadeRun bare = small_run("1.2.840.10008.1.2");
  bare.has_preamble = false;
  seeds.push_back({"bare", make_run(bare)});
}

void add_other_objects(std::vector<Seed>& seeds) {
  MadeRun directory = small_run("1.2.840.10008.1.2.1");
  directory.has_pixels = false;
  directory.attributes = {"SOPClassUID=1.2.840.10008.1.3.10", "DirectoryRecordSequence[0].ReferencedFileID=A\\B",
                          "DirectoryRecordSequence[1].DirectoryRecordType=PATIENT"};
  seeds.push_back({"DICOMDIR", make_run(directory)});
  dicom::ResultSource source;
  source.header.frames = 2, source.header.height = 6, source.header.width = 8;
  source.header.source = {"1.2.840.10008.5.1.4.1.1.12.1", "1.2.1", "1.2.2", "1.2.3", "1.2.840.10008.1.2.1"};
  dicom::SegmentationObject segmentation(source, {"1.2.4", "1.2.5"});
  segmentation.add(0, image::Mask(6, 8, 1));
  segmentation.add(1, image::Mask(6, 8));
  const ScratchFolder folder;
  segmentation.save(folder / "seg.dcm");
  seeds.push_back({"segmentation", read_file(folder / "seg.dcm")});
}

void add_lies(std::vector<Seed>& seeds) {
  using namespace dicom;
  const std::string head = made_file_head("1.2.840.10008.1.2.1");
  std::string nested;
  for (int i = 0; i < 40; ++i) nested += made_head(0x00082218, "SQ", kOpenLength) + made_item(kItem, kOpenLength);
  seeds.push_back({"nested", head + nested});
  seeds.push_back({"unknown sequence", head + made_head(0x00091001, "UN", kOpenLength) + made_item(kItem, kOpenLength) +
                                           made_item(0x00082218, kOpenLength) + made_item(kItem, 0) +
                                           made_item(kSequenceEnd, 0) + made_item(kItemEnd, 0) +
                                           made_item(kSequenceEnd, 0) + made_run_head(2, 2, "1") +
                                           made_element(0x7fe00010, "OB", "four")});
  seeds.push_back({"VOI LUT as bytes", head + made_run_head(2, 2, "1") + made_head(0x00283010, "OW", 24) +
                                           made_item(kItem, 16) +
                                           made_element(0x00283006, "OW", "12345678").substr(0, 16) +
                                           made_element(0x7fe00010, "OB", "four")});
  seeds.push_back({"too long", head + made_run_head(2, 2, "1") + made_head(0x7fe00010, "OB", 0xfffffffe) + "four"});
}

}  // namespace

std::vector<Seed> dicom_seeds() {
  std::vector<Seed> seeds;
  add_runs(seeds);
  add_other_objects(seeds);
  add_lies(seeds);
  return seeds;
}

}  // namespace cmunet::fuzz
