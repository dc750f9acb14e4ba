// SPDX-License-Identifier: Apache-2.0
#include "cmunet/pacs/store_scu.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmnet/dcmlayer.h>
#include <dcmtk/dcmnet/dimse.h>

#include <cstdio>
#include <set>
#include <utility>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/dicom/toolkit.h"
#include "cmunet/pacs/dcmtk_setup.h"

namespace cmunet::pacs {
namespace {

using Context = std::pair<std::string, std::string>;  // SOP class, transfer syntax

std::string text_of(DcmMetaInfo& meta, const DcmTagKey& tag) {
  OFString value;
  meta.findAndGetOFString(tag, value);
  return value.c_str();
}

Context context_of(const std::filesystem::path& file) {
  DcmFileFormat format;
  const OFCondition read = format.loadFile(file.c_str(), EXS_Unknown, EGL_noChange, DCM_MaxReadLength, ERM_metaOnly);
  DcmMetaInfo& meta = *format.getMetaInfo();
  Context context(text_of(meta, DCM_MediaStorageSOPClassUID), text_of(meta, DCM_TransferSyntaxUID));
  CMUNET_CHECK(read.good() && !context.first.empty() && !context.second.empty(), ErrorCode::kCorrupt, "[send] ",
               file.string(), " is no DICOM file with a header");
  return context;
}

class PromptLayer : public DcmTransportLayer {
 public:
  DcmTransportConnection* createConnection(DcmNativeSocketType socket, OFBool use_secure_layer) override {
    disable_delay(socket);
    return DcmTransportLayer::createConnection(socket, use_secure_layer);
  }
};

// An association that we made, released at the end.
class Association {
 public:
  /// Offers each context. @throws Error kIo, with the other side's reason when it refused.
  Association(const Peer& to, const ScuOptions& options, const std::set<Context>& contexts);
  ~Association();
  Association(const Association&) = delete;
  Association& operator=(const Association&) = delete;

  T_ASC_Association* get() { return association_; }
  void set_broken() { is_broken_ = true; }

 private:
  void drop();

  PromptLayer layer_;
  T_ASC_Network* network_ = nullptr;
  T_ASC_Association* association_ = nullptr;
  bool is_broken_ = false;
};

std::string refusal_of(T_ASC_Parameters* parameters) {
  T_ASC_RejectParameters rejected{};
  ASC_getRejectParameters(parameters, &rejected);
  switch (rejected.reason) {
    case ASC_REASON_SU_CALLINGAETITLENOTRECOGNIZED: return "it does not know our AE title";
    case ASC_REASON_SU_CALLEDAETITLENOTRECOGNIZED: return "it has another AE title";
    case ASC_REASON_SP_PRES_LOCALLIMITEXCEEDED:
    case ASC_REASON_SP_PRES_TEMPORARYCONGESTION: return "it has too many associations";
    default: return "it refused the association";
  }
}

std::string one_line(const OFCondition& condition) {
  std::string text = condition.text();
  for (char& c : text) c = c == '\n' ? ' ' : c;
  return text;
}

void offer(T_ASC_Parameters* parameters, T_ASC_PresentationContextID id, const Context& context) {
  std::vector<const char*> syntaxes{context.second.c_str()};
  // DCMTK turns one uncompressed order of bytes into another.
  if (!dicom::is_encapsulated(DcmXfer(context.second.c_str()))) {
    syntaxes = {UID_LittleEndianExplicitTransferSyntax, UID_LittleEndianImplicitTransferSyntax};
  }
  ASC_addPresentationContext(parameters, id, context.first.c_str(), syntaxes.data(), static_cast<int>(syntaxes.size()));
}

// Newer versions of DCMTK (Debian 13) take the time limit here and deprecate the global one.
template <typename Parameters>
OFCondition create_parameters(Parameters** parameters, int connect_seconds) {
  if constexpr (requires { ASC_createAssociationParameters(parameters, ASC_DEFAULTMAXPDU, connect_seconds); }) {
    return ASC_createAssociationParameters(parameters, ASC_DEFAULTMAXPDU, connect_seconds);
  } else {
    dcmConnectionTimeout.set(connect_seconds);
    return ASC_createAssociationParameters(parameters, ASC_DEFAULTMAXPDU);
  }
}

Association::Association(const Peer& to, const ScuOptions& options, const std::set<Context>& contexts) {
  set_up_dcmtk();
  const std::string place = concat(to.host, ":", to.port);
  OFCondition made = ASC_initializeNetwork(NET_REQUESTOR, 0, options.connect_seconds, &network_);
  T_ASC_Parameters* parameters = nullptr;
  if (made.good()) ASC_setTransportLayer(network_, &layer_, 0);
  if (made.good()) made = create_parameters(&parameters, options.connect_seconds);
  std::string reason = one_line(made);
  if (made.good()) {
    ASC_setAPTitles(parameters, options.ae_title.c_str(), to.ae_title.c_str(), nullptr);
    ASC_setPresentationAddresses(parameters, "localhost", place.c_str());
    T_ASC_PresentationContextID id = 1;
    for (const Context& context : contexts) {
      offer(parameters, id, context);
      id = static_cast<T_ASC_PresentationContextID>(id + 2);
    }
    made = ASC_requestAssociation(network_, parameters, &association_);
    reason = made == DUL_ASSOCIATIONREJECTED ? refusal_of(parameters) : one_line(made);
  }
  if (made.good()) return;
  is_broken_ = true;
  drop();
  throw Error(ErrorCode::kIo, concat("[send] no association with ", to.ae_title, "@", place, ": ", reason),
              "is it running, and does it know our AE title and address?");
}

Association::~Association() {
  if (is_broken_) {
    ASC_abortAssociation(association_);
  } else {
    ASC_releaseAssociation(association_);
  }
  drop();
}

void Association::drop() {
  if (association_ != nullptr) ASC_destroyAssociation(&association_);
  if (network_ != nullptr) ASC_dropNetwork(&network_);
}

DeliveryReport report_of(const OFCondition& sent, std::uint16_t status) {
  if (sent.bad()) return {Delivery::kTryLater, 0, one_line(sent)};
  const bool stored = status == 0x0000 || (status & 0xF000) == 0xB000;  // Bxxx: stored, with a warning (PS3.4, B.2.3)
  if (stored) return {Delivery::kStored, status, ""};
  char text[16];
  std::snprintf(text, sizeof text, "status %04X", static_cast<unsigned>(status));
  return {(status & 0xFF00) == 0xA700 ? Delivery::kTryLater : Delivery::kRefused, status, text};
}

DeliveryReport send_file(Association& association, const std::filesystem::path& file, const Context& context,
                         int response_seconds) {
  T_ASC_Association* handle = association.get();
  const T_ASC_PresentationContextID id =
      ASC_findAcceptedPresentationContextID(handle, context.first.c_str(), context.second.c_str());
  const T_ASC_PresentationContextID any = ASC_findAcceptedPresentationContextID(handle, context.first.c_str());
  const bool is_fixed = dicom::is_encapsulated(DcmXfer(context.second.c_str()));
  if (id == 0 && (any == 0 || is_fixed)) {
    return {Delivery::kRefused, 0, "the receiver does not take this kind of object"};
  }
  DcmFileFormat format;
  const OFCondition read = format.loadFile(file.c_str());
  OFString uid;
  format.getDataset()->findAndGetOFString(DCM_SOPInstanceUID, uid);
  CMUNET_CHECK(read.good() && !uid.empty(), ErrorCode::kCorrupt, "[send] ", file.string(), " has no SOP Instance UID");
  T_DIMSE_C_StoreRQ request{};
  request.MessageID = handle->nextMsgID++;
  request.DataSetType = DIMSE_DATASET_PRESENT;
  request.Priority = DIMSE_PRIORITY_MEDIUM;
  OFStandard::strlcpy(request.AffectedSOPClassUID, context.first.c_str(), sizeof request.AffectedSOPClassUID);
  OFStandard::strlcpy(request.AffectedSOPInstanceUID, uid.c_str(), sizeof request.AffectedSOPInstanceUID);
  T_DIMSE_C_StoreRSP response{};
  DcmDataset* detail = nullptr;
  const OFCondition sent = DIMSE_storeUser(handle, id != 0 ? id : any, &request, nullptr, format.getDataset(), nullptr,
                                           nullptr, DIMSE_NONBLOCKING, response_seconds, &response, &detail);
  delete detail;
  return report_of(sent, response.DimseStatus);
}

}  // namespace

void send_files(const Peer& to, std::span<const std::filesystem::path> files, const ScuOptions& options,
                const std::function<void(std::size_t, const DeliveryReport&)>& on_report) {
  if (files.empty()) return;
  std::vector<Context> contexts;
  for (const auto& file : files) contexts.push_back(context_of(file));
  const std::set<Context> offered(contexts.begin(), contexts.end());
  CMUNET_CHECK(offered.size() <= 128, ErrorCode::kInvalidArgument, "[send] ", offered.size(),
               " kinds of objects at once; at most 128");
  Association association(to, options, offered);
  for (std::size_t i = 0; i < files.size(); ++i) {
    const DeliveryReport report = send_file(association, files[i], contexts[i], options.response_seconds);
    const bool is_broken = report.delivery == Delivery::kTryLater && report.status == 0;
    if (is_broken) association.set_broken();
    on_report(i, report);
    if (is_broken) return;  // the rest is sent another time
  }
}

void send_echo(const Peer& to, const ScuOptions& options) {
  Association association(to, options, {{UID_VerificationSOPClass, UID_LittleEndianImplicitTransferSyntax}});
  T_ASC_Association* handle = association.get();
  DIC_US status = 0;
  DcmDataset* detail = nullptr;
  const OFCondition answered =
      DIMSE_echoUser(handle, handle->nextMsgID++, DIMSE_NONBLOCKING, options.response_seconds, &status, &detail);
  delete detail;
  if (answered.bad()) association.set_broken();
  CMUNET_CHECK(answered.good() && status == STATUS_Success, ErrorCode::kIo, "[echo] ", to.ae_title, ": ",
               answered.text());
}

}  // namespace cmunet::pacs
