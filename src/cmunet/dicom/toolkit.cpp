// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/toolkit.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcdict.h>
#include <dcmtk/dcmdata/dcobject.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>
#include <dcmtk/oflog/oflog.h>

#include <string>

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

}  // namespace

void start_toolkit() {
  static const bool started = start();  // a throw leaves it unset, and the next call tries again
  static_cast<void>(started);
}

}  // namespace cmunet::dicom
