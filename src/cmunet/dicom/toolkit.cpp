// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/toolkit.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcdict.h>
#include <dcmtk/dcmdata/dcobject.h>
#include <dcmtk/dcmdata/dcxfer.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>
#include <dcmtk/oflog/oflog.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "cmunet/base/error.h"

namespace cmunet::dicom {
namespace {

// Without a dictionary implicit VR cannot be read. DCMDICTPATH may name files that are not there: then Debian's own.
void load_dictionary() {
  if (dcmDataDict.isDictionaryLoaded()) return;
  const std::string paths = DCM_DICT_DEFAULT_PATH;
  DcmDataDictionary& dictionary = dcmDataDict.wrlock();
  for (std::size_t at = 0; at < paths.size();) {
    const std::size_t end = std::min(paths.find(':', at), paths.size());
    dictionary.loadDictionary(paths.substr(at, end - at).c_str(), OFFalse);
    at = end + 1;
  }
  dcmDataDict.wrunlock();
  if (dcmDataDict.isDictionaryLoaded()) return;
  throw Error(ErrorCode::kNotFound, concat("[dicom] no data dictionary at ", paths, " or in DCMDICTPATH"),
              "install Debian's libdcmtk17, or set DCMDICTPATH to a dicom.dic");
}

bool start() {
  // DCMTK writes warnings, which may quote patients' names, to the console.
  OFLog::configure(OFLogger::OFF_LOG_LEVEL);
  load_dictionary();
  DJDecoderRegistration::registerCodecs();
  DJLSDecoderRegistration::registerCodecs();
  dcmReplaceWrongDelimitationItem.set(OFTrue);
  dcmIgnoreFileMetaInformationGroupLength.set(OFTrue);
  dcmConvertUndefinedLengthOBOWtoSQ.set(OFTrue);
  dcmConvertVOILUTSequenceOWtoSQ.set(OFTrue);
  return true;
}

// That DCMTK 3.6.7 does not know.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kNewSyntaxes{
    {{"1.2.840.10008.1.2.4.110", "JPEG XL Lossless"},
     {"1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression"},
     {"1.2.840.10008.1.2.4.112", "JPEG XL"},
     {"1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 (Lossless Only)"},
     {"1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL Options (Lossless Only)"},
     {"1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000"}}};

std::string name_of_syntax(const std::string& uid) {
  for (const auto& [known, name] : kNewSyntaxes) {
    if (known == uid) return std::string(name);
  }
  const DcmXfer syntax(uid.c_str());
  return syntax.getXfer() == EXS_Unknown ? "unknown" : syntax.getXferName();
}

}  // namespace

void start_toolkit() {
  static const bool started = start();  // a throw leaves it unset, and the next call tries again
  static_cast<void>(started);
}

void refuse_syntax(const std::string& uid) {
  throw Error(ErrorCode::kUnsupported,
              concat("[dicom] transfer syntax ", uid, " (", name_of_syntax(uid), ") is not read"),
              "let the archive send it as explicit little endian (1.2.840.10008.1.2.1) or JPEG 2000");
}

}  // namespace cmunet::dicom
