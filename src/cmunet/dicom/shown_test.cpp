// SPDX-License-Identifier: Apache-2.0
// How frames are shown: windows, tables, inversion, shutters, overlays, and what Enhanced XA says per frame.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cmunet/base/scratch_folder.h"
#include "cmunet/dicom/made_run.h"
#include "cmunet/dicom/xa.h"

namespace cmunet::dicom {
namespace {

using testing::Contains;
using testing::HasSubstr;

class Shown : public testing::Test {
 protected:
  XaRun read(const MadeRun& run) {
    write_run(run, folder / "run.dcm");
    return XaRun(folder / "run.dcm");
  }
  // A ramp of 12-bit values along x, from 0 in steps of 100.
  static MadeRun ramp() {
    MadeRun made;
    made.bits_allocated = 16;
    made.bits_stored = 12;
    made.high_bit = 11;
    made.frames = 2;
    made.width = 40;
    made.cell = [](int f, int, int x, int) { return 100 * x + 10 * f; };
    return made;
  }
  XaRun read_ramp(std::vector<std::string> attributes) {
    MadeRun made = ramp();
    made.attributes = std::move(attributes);
    return read(made);
  }
  static double at(const XaRun& run, int x, int frame = 0) { return static_cast<double>(run.frame(frame).at(0, x)); }

  ScratchFolder folder;
};

TEST_F(Shown, LinearWindowFollowsTheStandardsFormula) {
  const XaRun run = read_ramp({"WindowCenter=2000\\500", "WindowWidth=1001\\10"});  // the first of two
  for (const int x : {0, 10, 14, 15, 16, 20, 24, 25, 26, 39}) {
    const double expected = std::clamp(((100.0 * x - 1999.5) / 1000 + 0.5) * 255, 0.0, 255.0);
    EXPECT_NEAR(at(run, x), expected, 1e-3) << x;
  }
  EXPECT_EQ(run.stored_frame(1).at(0, 7), 710.0F);
}

TEST_F(Shown, OtherWindowFunctions) {
  const XaRun exact = read_ramp({"WindowCenter=2000", "WindowWidth=1000", "VOILUTFunction=LINEAR_EXACT"});
  EXPECT_NEAR(at(exact, 20), 127.5, 1e-3);
  EXPECT_NEAR(at(exact, 15), 0, 1e-3);
  EXPECT_NEAR(at(exact, 25), 255, 1e-3);
  const XaRun sigmoid = read_ramp({"WindowCenter=2000", "WindowWidth=1000", "VOILUTFunction=SIGMOID"});
  EXPECT_NEAR(at(sigmoid, 20), 127.5, 1e-3);
  EXPECT_NEAR(at(sigmoid, 25), 255 / (1 + std::exp(-2.0)), 1e-3);
}

TEST_F(Shown, WithoutWindowAllFramesShareTheRangeOfTheMiddleOne) {
  const XaRun run = read_ramp({});
  EXPECT_THAT(run.header().oddities, Contains(HasSubstr("no window")));
  EXPECT_NEAR(at(run, 0, 1), 0, 1e-3);
  EXPECT_NEAR(at(run, 39, 1), 255, 1e-3);
  EXPECT_NEAR(at(run, 20, 0), 255 * (2000.0 - 10) / 3900, 1e-3);
}

TEST_F(Shown, AWindowWithoutWidthIsLeftOut) {
  const XaRun run = read_ramp({"WindowCenter=2000", "WindowWidth=0"});
  EXPECT_THAT(run.header().oddities, Contains(HasSubstr("no width")));
  EXPECT_NEAR(at(run, 39, 1), 255, 1e-3);
}

TEST_F(Shown, Monochrome1IsTurnedOver) {
  MadeRun made;
  made.photometric = "MONOCHROME1";
  const XaRun run = read(made);
  EXPECT_TRUE(run.header().inverted);
  EXPECT_EQ(run.frame(1).at(2, 3), 255.0F - run.stored_frame(1).at(2, 3));
}

TEST_F(Shown, RescaleComesBeforeTheWindow) {
  const XaRun run = read_ramp({"RescaleSlope=2", "RescaleIntercept=-1000", "WindowCenter=1000", "WindowWidth=2001"});
  EXPECT_EQ(run.stored_frame(0).at(0, 3), -400.0F);
  EXPECT_NEAR(at(run, 10), 255 * ((1000.0 - 999.5) / 2000 + 0.5), 1e-3);
}

TEST_F(Shown, LogarithmicRunsAreWindowedAsStored) {
  const XaRun run =
      read_ramp({"PixelIntensityRelationship=LOG", "RescaleSlope=3", "WindowCenter=1000", "WindowWidth=1001"});
  EXPECT_TRUE(run.header().is_log);
  EXPECT_EQ(run.stored_frame(0).at(0, 3), 300.0F);
  EXPECT_NEAR(at(run, 10), 255 * ((1000.0 - 999.5) / 1000 + 0.5), 1e-3);
}

TEST_F(Shown, VoiTableWithClampedEnds) {
  const XaRun run = read_ramp({"VOILUTSequence[0].LUTDescriptor=4\\1000\\8", "VOILUTSequence[0].LUTData=0\\33\\66\\ff",
                               "WindowCenter=1", "WindowWidth=2"});
  EXPECT_NEAR(at(run, 0), 0, 1e-3);
  EXPECT_NEAR(at(run, 10), 0, 1e-3);
  EXPECT_NEAR(at(run, 10, 1), 255, 1e-3);
  EXPECT_NEAR(at(run, 39), 255, 1e-3);
}

TEST_F(Shown, ModalityTableReplacesTheStoredValues) {
  MadeRun made = ramp();
  made.cell = [](int, int, int x, int) { return x % 4; };
  made.attributes = {"ModalityLUTSequence[0].LUTDescriptor=4\\0\\16", "ModalityLUTSequence[0].LUTData=9\\7\\1f4\\9c40",
                     "WindowCenter=250", "WindowWidth=500"};
  const XaRun run = read(made);
  EXPECT_EQ(run.stored_frame(0).at(5, 2), 500.0F);
  EXPECT_EQ(run.stored_frame(0).at(5, 3), 40000.0F);
}

TEST_F(Shown, ATableShorterThanItClaimsIsLeftOut) {
  const XaRun run = read_ramp({"VOILUTSequence[0].LUTDescriptor=400\\0\\8", "VOILUTSequence[0].LUTData=0\\51"});
  EXPECT_THAT(run.header().oddities, Contains(HasSubstr("lookup table")));
}

TEST_F(Shown, PaletteColoursBecomeLuma) {
  MadeRun made;
  made.photometric = "PALETTE COLOR";
  made.cell = [](int, int, int x, int) { return x; };
  const auto channel = [&](const std::string& name, const std::string& bits, const std::string& data) {
    made.attributes.push_back(name + "PaletteColorLookupTableDescriptor=4\\2\\" + bits);
    made.attributes.push_back(name + "PaletteColorLookupTableData=" + data);
  };
  for (const bool is_wide : {false, true}) {
    made.attributes.clear();
    channel("Red", is_wide ? "16" : "8", is_wide ? "0\\ffff\\0\\8080" : "0\\ff\\0\\80");
    channel("Green", is_wide ? "16" : "8", is_wide ? "0\\0\\ffff\\8080" : "0\\0\\ff\\80");
    channel("Blue", is_wide ? "16" : "8", is_wide ? "0\\0\\0\\8080" : "0\\0\\0\\80");
    const XaRun run = read(made);
    EXPECT_THAT(run.header().oddities, testing::IsEmpty());
    EXPECT_NEAR(at(run, 0), 0, 1e-3);  // below the first entry
    EXPECT_NEAR(at(run, 3), 0.299 * 255, 1e-3);
    EXPECT_NEAR(at(run, 4), 0.587 * 255, 1e-3);
    EXPECT_NEAR(at(run, 5), 128, 1e-3);
    EXPECT_NEAR(at(run, 12), 128, 1e-3);  // above the last
  }
}

TEST_F(Shown, EnhancedXaHasAWindowForEachFrame) {
  const std::string shared = "SharedFunctionalGroupsSequence[0].", per = "PerFrameFunctionalGroupsSequence[";
  const XaRun run = read_ramp(
      {"SOPClassUID=1.2.840.10008.5.1.4.1.1.12.1.1", "WindowCenter=1", "WindowWidth=2",
       shared + "PixelValueTransformationSequence[0].RescaleSlope=2",
       shared + "PixelValueTransformationSequence[0].RescaleIntercept=1",
       per + "0].FrameVOILUTSequence[0].WindowCenter=2000", per + "0].FrameVOILUTSequence[0].WindowWidth=2001",
       per + "1].FrameVOILUTSequence[0].WindowCenter=6000", per + "1].FrameVOILUTSequence[0].WindowWidth=2001",
       per + "0].ProjectionPixelCalibrationSequence[0].ObjectPixelSpacingInCenterOfBeam=0.21\\0.22",
       per + "0].ProjectionPixelCalibrationSequence[0].BeamAngle=31",
       per + "0].PositionerPositionSequence[0].PositionerPrimaryAngle=-20",
       shared + "XRayGeometrySequence[0].DistanceSourceToDetector=1100"});
  EXPECT_NEAR(at(run, 10, 0), 255 * ((2001 - 1999.5) / 2000 + 0.5), 1e-3);
  EXPECT_NEAR(at(run, 30, 1), 255 * ((6021 - 5999.5) / 2000 + 0.5), 1e-3);
  const Geometry& geometry = run.header().geometry;
  ASSERT_TRUE(geometry.object_pixel_spacing_mm);
  EXPECT_NEAR(geometry.object_pixel_spacing_mm->row_mm, 0.21, 1e-6);
  EXPECT_NEAR(geometry.object_pixel_spacing_mm->col_mm, 0.22, 1e-6);
  EXPECT_EQ(geometry.beam_angle_deg, 31.0);
  EXPECT_EQ(geometry.primary_angle_deg, -20.0);
  EXPECT_EQ(geometry.source_detector_mm, 1100.0);
}

TEST_F(Shown, OverlayBitsAboveTheValuesAreLeftOut) {
  MadeRun made = ramp();
  made.cell = [](int, int y, int x, int) { return (100 * x) | (y % 2 == 0 ? 0xf000 : 0); };
  EXPECT_EQ(read(made).stored_frame(0).at(2, 5), 500.0F);
  made.high_bit = 15;  // values in the upper 12 bits
  made.cell = [](int, int, int x, int) { return (100 * x) << 4 | 0x5; };
  EXPECT_EQ(read(made).stored_frame(0).at(2, 5), 500.0F);
}

TEST_F(Shown, ShuttersBoundTheField) {
  MadeRun made;
  made.height = 30;
  made.width = 40;
  made.attributes = {"ShutterShape=RECTANGULAR\\CIRCULAR", "ShutterLeftVerticalEdge=6",
                     "ShutterRightVerticalEdge=35",        "ShutterUpperHorizontalEdge=3",
                     "ShutterLowerHorizontalEdge=28",      "CenterOfCircularShutter=16\\21",
                     "RadiusOfCircularShutter=12"};
  const XaRun run = read(made);
  for (int y = 0; y < 30; ++y) {
    for (int x = 0; x < 40; ++x) {
      const bool open = x >= 5 && x <= 34 && y >= 2 && y <= 27 && std::hypot(y - 15, x - 20) <= 12;
      ASSERT_EQ(run.field().at(y, x), open ? 1 : 0) << y << " " << x;
    }
  }
  made.attributes.push_back("PixelAspectRatio=2\\1");  // rows twice as far apart: a circle that few of them cross
  const XaRun flat = read(made);
  for (int y = 2; y <= 27; ++y) ASSERT_EQ(flat.field().at(y, 20), std::abs(y - 15) <= 6 ? 1 : 0) << y;
  for (int x = 5; x <= 34; ++x) ASSERT_EQ(flat.field().at(15, x), std::abs(x - 20) <= 12 ? 1 : 0) << x;
  made.attributes = {"ShutterShape=POLYGONAL", "VerticesOfThePolygonalShutter=1\\1\\1\\31\\31\\1"};  // a triangle
  const XaRun triangle = read(made);
  EXPECT_EQ(triangle.field().at(5, 5), 1);
  EXPECT_EQ(triangle.field().at(25, 25), 0);
  made.attributes = {"ShutterShape=RECTANGULAR", "ShutterLeftVerticalEdge=30", "ShutterRightVerticalEdge=10"};
  const XaRun nonsense = read(made);
  EXPECT_EQ(std::ranges::count(nonsense.field(), std::uint8_t{0}), 0);
  EXPECT_THAT(nonsense.header().oddities, Contains(HasSubstr("shutter")));
}

TEST_F(Shown, OverlaysAreNotPartOfTheField) {
  MadeRun made;
  made.height = 8;
  made.width = 16;
  // A plane of 2 x 16 bits whose first row lies on row 3 (counted from 1): bits 0, 1 and 15 of it, then bit 4.
  made.attributes = {"(6000,0010)=2", "(6000,0011)=16", "(6000,0040)=G",         "(6000,0050)=3\\1",
                     "(6000,0100)=1", "(6000,0102)=0",  "(6000,3000)=8003\\0010"};
  const XaRun run = read(made);
  for (int y = 0; y < 8; ++y) {
    for (int x = 0; x < 16; ++x) {
      const bool drawn = (y == 2 && (x < 2 || x == 15)) || (y == 3 && x == 4);
      ASSERT_EQ(run.field().at(y, x), drawn ? 0 : 1) << y << " " << x;
    }
  }
}

TEST_F(Shown, EachFrameHasItsOverlayAndItsShutter) {
  MadeRun made;  // of three frames
  made.height = 8;
  made.width = 16;
  // Two planes of 1 x 16 bits, for the frames 2 and 3: bit 0 of the first, bit 1 of the second.
  made.attributes = {"(6000,0010)=1", "(6000,0011)=16", "(6000,0015)=2", "(6000,0040)=G",         "(6000,0050)=1\\1",
                     "(6000,0051)=2", "(6000,0100)=1",  "(6000,0102)=0", "(6000,3000)=0001\\0002"};
  const XaRun run = read(made);
  const auto drawn = [&](const image::Mask& field) { return concat(1 - field.at(0, 0), 1 - field.at(0, 1)); };
  EXPECT_EQ(drawn(run.field()), "11");
  EXPECT_EQ(drawn(run.field(0)), "00");
  EXPECT_EQ(drawn(run.field(1)), "10");
  EXPECT_EQ(drawn(run.field(2)), "01");
  EXPECT_THROW(run.field(3), Error);
  made.attributes.clear();
  for (int f = 0; f < 3; ++f) {
    const std::string shutter =
        concat("PerFrameFunctionalGroupsSequence[", f, "].FrameDisplayShutterSequence[0].Shutter");
    made.attributes.push_back(shutter + "Shape=RECTANGULAR");
    made.attributes.push_back(shutter + "LeftVerticalEdge=" + std::to_string(2 + f));
  }
  const XaRun enhanced = read(made);
  for (int f = 0; f < 3; ++f) EXPECT_EQ(std::ranges::count(enhanced.field(f), std::uint8_t{0}), 8 * (1 + f)) << f;
  EXPECT_EQ(enhanced.field(), enhanced.field(0));
}

TEST_F(Shown, TenBitValuesAndTheRelationshipOfTheirWindow) {
  MadeRun made = ramp();
  made.bits_stored = 10, made.high_bit = 9;
  made.cell = [](int, int y, int x, int) { return (25 * x) | (y % 2 == 0 ? 0xfc00 : 0); };
  EXPECT_EQ(read(made).stored_frame(0).at(2, 39), 975.0F);
  made.is_signed = true;
  EXPECT_EQ(read(made).stored_frame(0).at(3, 39), 975.0F - 1024);
  EXPECT_EQ(read(made).stored_frame(0).at(3, 4), 100.0F);
  // Of DISP, as of LOG, the rescale leads back to intensities and is not for the window (PS3.3 C.11.1.1.2).
  made.is_signed = false;
  made.attributes = {"WindowCenter=500", "WindowWidth=1000", "RescaleSlope=2", "RescaleIntercept=7"};
  EXPECT_EQ(read(made).stored_frame(0).at(0, 8), 407.0F);
  for (const char* relationship : {"DISP", "LOG"}) {
    made.attributes.push_back(concat("PixelIntensityRelationship=", relationship));
    const XaRun run = read(made);
    EXPECT_EQ(run.stored_frame(0).at(0, 8), 200.0F) << relationship;
    EXPECT_EQ(run.header().is_log, std::string(relationship) == "LOG");
    EXPECT_NEAR(at(run, 8), 255 * ((200 - 499.5) / 999 + 0.5), 1e-3) << relationship;
  }
  made.attributes.push_back("PixelIntensityRelationship=LIN");
  EXPECT_EQ(read(made).stored_frame(0).at(0, 8), 407.0F);
}

TEST_F(Shown, GeometryAndTimes) {
  MadeRun made;
  made.attributes = {"PixelSpacing=0.2\\0.25",
                     "PixelSpacingCalibrationType=FIDUCIAL",
                     "ImagerPixelSpacing=0.3\\0.3",
                     "EstimatedRadiographicMagnificationFactor=1.5",
                     "DistanceSourceToDetector=1200",
                     "DistanceSourceToPatient=800",
                     "PositionerPrimaryAngle=30",
                     "PositionerSecondaryAngle=-25",
                     "FrameTimeVector=0\\40\\80",
                     "BurnedInAnnotation=YES",
                     "PatientName=Ünal"};
  const XaRun run = read(made);
  const Geometry& geometry = run.header().geometry;
  EXPECT_EQ(geometry.pixel_spacing_mm, (image::Spacing{0.2, 0.25}));
  EXPECT_EQ(geometry.calibration, SpacingCalibration::kFiducial);
  EXPECT_EQ(geometry.imager_pixel_spacing_mm, (image::Spacing{0.3, 0.3}));
  EXPECT_EQ(geometry.magnification, 1.5);
  EXPECT_EQ(geometry.source_patient_mm, 800.0);
  EXPECT_EQ(geometry.secondary_angle_deg, -25.0);
  EXPECT_DOUBLE_EQ(run.header().pixel_aspect_ratio, 0.8);
  EXPECT_THAT(run.header().frame_time_ms, testing::ElementsAre(0, 40, 120));
  EXPECT_TRUE(run.header().burned_in_annotation);
  EXPECT_FALSE(run.header().no_burned_in_annotation);
  made.attributes = {"PixelAspectRatio=4\\3", "PixelSpacing=0\\0", "ImagerPixelSpacing=900\\1", "FrameTime=x"};
  const XaRun odd = read(made);
  EXPECT_DOUBLE_EQ(odd.header().pixel_aspect_ratio, 4.0 / 3);
  EXPECT_FALSE(odd.header().geometry.pixel_spacing_mm);
  EXPECT_FALSE(odd.header().geometry.imager_pixel_spacing_mm);
  EXPECT_THAT(odd.header().frame_time_ms, testing::IsEmpty());
  EXPECT_EQ(odd.header().oddities.size(), 2U);
  made.attributes = {"PixelAspectRatio=4\\3", "ImagerPixelSpacing=0.2\\0.25"};  // the spacing goes first
  EXPECT_DOUBLE_EQ(read(made).header().pixel_aspect_ratio, 0.8);
  made.attributes = {"PixelAspectRatio=1\\40"};
  const XaRun thin = read(made);
  EXPECT_EQ(thin.header().pixel_aspect_ratio, 1.0);
  EXPECT_THAT(thin.header().oddities, Contains(HasSubstr("read as square")));
}

TEST_F(Shown, EnhancedHeadersTellTheIsocentresDistance) {
  MadeRun made;
  made.attributes = {"SharedFunctionalGroupsSequence[0].XRayGeometrySequence[0].DistanceSourceToIsocenter=810",
                     "SharedFunctionalGroupsSequence[0].XRayGeometrySequence[0].DistanceSourceToDetector=1200"};
  const Geometry geometry = read(made).header().geometry;
  EXPECT_EQ(geometry.source_isocentre_mm, 810.0);
  EXPECT_EQ(geometry.source_detector_mm, 1200.0);
  EXPECT_FALSE(geometry.source_patient_mm);
}

TEST_F(Shown, EveryFrameOfAnEnhancedRunHasItsOwnGeometry) {
  MadeRun made;
  for (int i = 0; i < 3; ++i) {
    made.attributes.push_back(concat("PerFrameFunctionalGroupsSequence[", i,
                                     "].XRayGeometrySequence[0].DistanceSourceToDetector=", 1000 + 100 * i));
  }
  const XaRun run = read(made);
  EXPECT_EQ(run.header().geometry.source_detector_mm, 1000.0);
  EXPECT_EQ(run.geometry(2).source_detector_mm, 1200.0);
  EXPECT_THROW(run.geometry(3), Error);
}

TEST_F(Shown, OtherModalitiesAreReadAndSaidToBeOther) {
  MadeRun made;
  for (const char* modality : {"XA", "RF"}) {
    made.attributes = {concat("Modality=", modality)};
    const XaRun run = read(made);
    EXPECT_TRUE(is_xray(run.header()));
    EXPECT_THAT(run.header().oddities, testing::IsEmpty());
  }
  made.attributes = {"Modality=CT"};
  const XaRun ct = read(made);
  EXPECT_FALSE(is_xray(ct.header()));
  EXPECT_THAT(ct.header().oddities, Contains(HasSubstr("modality is CT")));
  made.attributes = {"Modality=JANE_DOE"};  // text that is no term may be a name
  EXPECT_THAT(read(made).header().oddities, Contains(HasSubstr("modality is none that is known")));
}

TEST_F(Shown, TheHeaderSaysWhatIsBurnedInAndWhatWasLost) {
  MadeRun made;
  made.attributes = {"BurnedInAnnotation=NO", "LossyImageCompression=01", "LossyImageCompressionRatio=12.5",
                     "LossyImageCompressionMethod=ISO_15444_1"};
  const XaRun run = read(made);
  EXPECT_FALSE(run.header().burned_in_annotation);
  EXPECT_TRUE(run.header().no_burned_in_annotation);
  EXPECT_EQ(run.header().lossy_ratio, "12.5");
  EXPECT_EQ(run.header().lossy_method, "ISO_15444_1");
  made.attributes = {"LossyImageCompression=01", "LossyImageCompressionRatio=much",
                     "LossyImageCompressionMethod=JANE_DOE"};
  const XaRun silent = read(made);
  EXPECT_FALSE(silent.header().burned_in_annotation || silent.header().no_burned_in_annotation);
  EXPECT_EQ(silent.header().lossy_ratio + silent.header().lossy_method, "");
}

TEST_F(Shown, NamesComeAsUtf8) {
  MadeRun made;
  made.attributes = {"SpecificCharacterSet=ISO_IR 100",
                     "PatientName=\xdcnal^Ay\xe7"
                     "e"};
  EXPECT_EQ(read(made).patient().name, "Ünal^Ayçe");
}

TEST_F(Shown, UndeclaredCharactersBecomeUtf8) {
  MadeRun made;
  made.attributes = {"PatientName=M\xfcller^J\xfcrgen", "AccessionNumber=\xc4-42", "PatientID=Ünal"};
  const Patient patient = read(made).patient();
  EXPECT_EQ(patient.name, "Müller^Jürgen");
  EXPECT_EQ(patient.accession_number, "Ä-42");
  EXPECT_EQ(patient.id, "Ünal");  // what is UTF-8 already is not read as Latin-1
}

TEST_F(Shown, TheTimeZoneIsReadWhenItIsOne) {
  MadeRun made;
  made.attributes = {"TimezoneOffsetFromUTC=-0330"};
  EXPECT_EQ(read(made).header().utc_offset, "-0330");
  made.attributes = {"TimezoneOffsetFromUTC=CET"};
  EXPECT_EQ(read(made).header().utc_offset, "");
}

}  // namespace
}  // namespace cmunet::dicom
