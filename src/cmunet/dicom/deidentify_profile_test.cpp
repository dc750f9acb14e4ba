// SPDX-License-Identifier: Apache-2.0
// The rules of `deidentify.cpp` against the list that they stand for: PS3.15 (2023) Table E.1-1, Basic Profile.
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>
#include <gtest/gtest.h>

#include <array>
#include <string_view>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/dicom/deidentify.h"
#include "cmunet/dicom/made_bytes.h"

namespace cmunet::dicom {
namespace {

struct Row {
  std::uint32_t tag;
  std::string_view vr;
  std::string_view action;  // X remove, Z empty, D dummy value, U other UID; several: any of them
};

// The rows of the groups of which anything is kept; groups that are not named here are left out whole.
constexpr auto kTable = std::to_array<Row>({
    {0x00080012, "DA", "X/D"},   {0x00080013, "TM", "X/Z/D"}, {0x00080014, "UI", "U"},     {0x00080015, "DT", "X"},
    {0x00080017, "UI", "U"},     {0x00080018, "UI", "U"},     {0x00080019, "UI", "U"},     {0x00080020, "DA", "Z"},
    {0x00080021, "DA", "X/D"},   {0x00080022, "DA", "X/Z"},   {0x00080023, "DA", "Z/D"},   {0x00080024, "DA", "X"},
    {0x00080025, "DA", "X"},     {0x0008002A, "DT", "X/Z/D"}, {0x00080030, "TM", "Z"},     {0x00080031, "TM", "X/D"},
    {0x00080032, "TM", "X/Z"},   {0x00080033, "TM", "Z/D"},   {0x00080034, "TM", "X"},     {0x00080035, "TM", "X"},
    {0x00080050, "SH", "Z"},     {0x00080054, "AE", "X"},     {0x00080055, "AE", "X"},     {0x00080058, "UI", "U"},
    {0x00080080, "LO", "X/Z/D"}, {0x00080081, "ST", "X"},     {0x00080082, "SQ", "X/Z/D"}, {0x00080090, "PN", "Z"},
    {0x00080092, "ST", "X"},     {0x00080094, "SH", "X"},     {0x00080096, "SQ", "X"},     {0x0008009C, "PN", "Z"},
    {0x0008009D, "SQ", "X"},     {0x00080106, "DT", "D"},     {0x00080107, "DT", "D"},     {0x00080201, "SH", "X"},
    {0x00081000, "AE", "X"},     {0x00081010, "SH", "X/Z/D"}, {0x00081030, "LO", "X"},     {0x0008103E, "LO", "X"},
    {0x00081040, "LO", "X"},     {0x00081041, "SQ", "X"},     {0x00081048, "PN", "X"},     {0x00081049, "SQ", "X"},
    {0x00081050, "PN", "X"},     {0x00081052, "SQ", "X"},     {0x00081060, "PN", "X"},     {0x00081062, "SQ", "X"},
    {0x00081070, "PN", "X/Z/D"}, {0x00081072, "SQ", "X/D"},   {0x00081080, "LO", "X"},     {0x00081084, "SQ", "X"},
    {0x00081088, "LO", "X"},     {0x00081110, "SQ", "X/Z"},   {0x00081111, "SQ", "X/Z/D"}, {0x00081120, "SQ", "X"},
    {0x00081155, "UI", "U"},     {0x00081195, "UI", "U"},     {0x00082111, "ST", "X"},     {0x00083010, "UI", "U"},
    {0x00084000, "LT", "X"},     {0x00180010, "LO", "Z/D"},   {0x00180027, "TM", "X"},     {0x00180035, "TM", "X"},
    {0x00181000, "LO", "X/Z/D"}, {0x00181002, "UI", "U"},     {0x00181004, "LO", "X"},     {0x00181005, "LO", "X"},
    {0x00181007, "LO", "X"},     {0x00181008, "LO", "X"},     {0x00181009, "UT", "X"},     {0x0018100A, "SQ", "X"},
    {0x0018100B, "UI", "U"},     {0x00181012, "DA", "X"},     {0x00181014, "TM", "X"},     {0x00181030, "LO", "X/D"},
    {0x00181042, "TM", "X"},     {0x00181043, "TM", "X"},     {0x00181072, "TM", "X"},     {0x00181073, "TM", "X"},
    {0x00181078, "DT", "X"},     {0x00181079, "DT", "X"},     {0x001811BB, "LO", "D"},     {0x00181200, "DA", "X"},
    {0x00181201, "TM", "X"},     {0x00181202, "DT", "X"},     {0x00181203, "DT", "Z"},     {0x00181204, "DA", "X"},
    {0x00181205, "DA", "X"},     {0x00181400, "LO", "X/D"},   {0x00182042, "UI", "U"},     {0x00184000, "LT", "X"},
    {0x00185011, "SQ", "X"},     {0x0018700A, "SH", "X/D"},   {0x0018700C, "DA", "X/D"},   {0x0018700E, "TM", "X/D"},
    {0x00189074, "DT", "D"},     {0x00189151, "DT", "D"},     {0x00189185, "ST", "X"},     {0x00189367, "UC", "D"},
    {0x00189369, "DT", "D"},     {0x0018936A, "DT", "D"},     {0x00189371, "UC", "D"},     {0x00189373, "ST", "X"},
    {0x0018937B, "ST", "X"},     {0x0018937F, "UT", "X"},     {0x00189424, "LT", "X"},     {0x00189516, "DT", "X/D"},
    {0x00189517, "DT", "X/D"},   {0x00189623, "DT", "D"},     {0x00189701, "DT", "D"},     {0x00189804, "DT", "D"},
    {0x00189919, "DT", "Z/D"},   {0x00189937, "LO", "X"},     {0x0018A002, "DT", "X"},     {0x0018A003, "ST", "X"},
    {0x0020000D, "UI", "U"},     {0x0020000E, "UI", "U"},     {0x00200010, "SH", "Z"},     {0x00200027, "LO", "X"},
    {0x00200052, "UI", "U"},     {0x00200200, "UI", "U"},     {0x00203401, "LO", "X"},     {0x00203403, "DA", "X"},
    {0x00203405, "TM", "X"},     {0x00203406, "LO", "X"},     {0x00204000, "LT", "X"},     {0x00209158, "LT", "X"},
    {0x00209161, "UI", "U"},     {0x00209164, "UI", "U"},     {0x00281199, "UI", "U"},     {0x00281214, "UI", "U"},
    {0x00284000, "LT", "X"},
});

// Tags of other groups that the table names, one or two of each kind of group.
constexpr auto kOtherGroups = std::to_array<std::uint32_t>(
    {0x00100021, 0x00101010, 0x00102160, 0x00120010, 0x0016004D, 0x0022000A, 0x00321032, 0x00380300,
     0x00400254, 0x00401001, 0x0040A123, 0x00500020, 0x00620021, 0x00700084, 0x00880140, 0x04000561,
     0x20300020, 0x40000010, 0x40080114, 0x50000010, 0x60004000, 0x00091001, 0x00291010, 0x52010010});

std::string planted_value(std::string_view vr) {
  if (vr == "UI") return "1.2.777.8841";
  if (vr == "DA") return "19370415";
  if (vr == "TM") return "113744";
  if (vr == "DT") return "19370415113744";
  if (vr == "AE" || vr == "SH") return "ZQ8841";
  return "Quibble 8841";
}

std::string planted_element(std::uint32_t tag, std::string_view vr) {
  if (vr != "SQ") return made_element(tag, vr, planted_value(vr));
  const std::string inner = made_element(0x00080100, "SH", "ZQ8841") + made_element(0x00100010, "PN", "Quibble^Z") +
                            made_element(0x00181000, "LO", "Quibble 8841");
  const std::string item = made_item(kItem, static_cast<std::uint32_t>(inner.size())) + inner;
  return made_head(tag, "SQ", static_cast<std::uint32_t>(item.size())) + item;
}

class Profile : public testing::Test {
 protected:
  // The copy of a run that holds every planted element, at the top and within a functional group.
  void copy(const DeidentifyOptions& options) {
    std::string before, after, nested;
    for (const Row& row : kTable) {
      (row.tag < 0x00280002 ? before : after) += planted_element(row.tag, row.vr);
      nested += planted_element(row.tag, row.vr);
    }
    std::string others;
    for (const std::uint32_t tag : kOtherGroups) others += planted_element(tag, "LO");
    const std::string item = made_item(kItem, static_cast<std::uint32_t>(nested.size())) + nested;
    const std::string groups = made_head(0x52009229, "SQ", static_cast<std::uint32_t>(item.size())) + item;
    write_file_atomic(folder / "in.dcm", made_file_head("1.2.840.10008.1.2.1") + before + made_run_head(2, 2, "1") +
                                             after + others + groups + made_element(0x7fe00010, "OB", "four"));
    Deidentifier(options).copy(folder / "in.dcm", folder / "out.dcm");
    ASSERT_TRUE(object.loadFile((folder / "out.dcm").c_str()).good());
  }
  void expect_handled(DcmItem& item, const Row& row, const std::string& where) {
    const DcmTagKey tag(static_cast<Uint16>(row.tag >> 16), static_cast<Uint16>(row.tag & 0xffff));
    SCOPED_TRACE(concat(tag.toString().c_str(), " ", row.action, " ", where));
    DcmElement* element = nullptr;
    if (item.findAndGetElement(tag, element).bad()) return;  // removed, which every action allows
    EXPECT_NE(row.action, "X") << "is still there";
    EXPECT_NE(row.vr, "SQ") << "is still there";
    OFString value;
    element->getOFStringArray(value);
    EXPECT_EQ(std::string(value.c_str()).find(planted_value(row.vr)), std::string::npos) << value;
  }
  ScratchFolder folder;
  DcmFileFormat object;
};

TEST_F(Profile, EveryAttributeOfTheTableIsHandled) {
  copy({});
  DcmItem* group = nullptr;
  ASSERT_TRUE(object.getDataset()->findAndGetSequenceItem(DCM_SharedFunctionalGroupsSequence, group).good());
  for (const Row& row : kTable) {
    expect_handled(*object.getDataset(), row, "in the data set");
    expect_handled(*group, row, "in a functional group");
  }
  const std::string bytes = read_file(folder / "out.dcm");
  for (const char* secret : {"Quibble", "ZQ8841", "19370415"}) EXPECT_EQ(bytes.find(secret), std::string::npos);
}

TEST_F(Profile, OfOtherGroupsNothingIsKept) {
  copy({});
  for (const std::uint32_t tag : kOtherGroups) {
    const DcmTagKey key(static_cast<Uint16>(tag >> 16), static_cast<Uint16>(tag & 0xffff));
    EXPECT_FALSE(object.getDataset()->tagExists(key)) << key.toString();
  }
}

TEST_F(Profile, ShiftedDatesKeepNoDateAsItWas) {
  copy({Dates::kShifted});
  const std::string bytes = read_file(folder / "out.dcm");
  for (const char* secret : {"Quibble", "ZQ8841", "19370415"}) EXPECT_EQ(bytes.find(secret), std::string::npos);
}

}  // namespace
}  // namespace cmunet::dicom
