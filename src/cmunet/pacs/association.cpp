// SPDX-License-Identifier: Apache-2.0
#include "cmunet/pacs/association.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcostrma.h>
#include <dcmtk/dcmdata/dcuid.h>
#include <dcmtk/dcmnet/assoc.h>
#include <dcmtk/dcmnet/dcmlayer.h>
#include <dcmtk/dcmnet/dcmtrans.h>
#include <dcmtk/dcmnet/dimse.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <optional>
#include <span>

#include "cmunet/base/error.h"
#include "cmunet/base/log.h"
#include "cmunet/pacs/dcmtk_setup.h"
#include "cmunet/pacs/uid.h"

namespace cmunet::pacs {
namespace {

using Clock = std::chrono::steady_clock;

constexpr long kMaxPduBytes = 128 * 1024;
constexpr std::uint32_t kMaxAssociationRequestBytes = 64 * 1024;
constexpr std::int64_t kMaxCommandBytes = 64 * 1024;
// Of a too large object this many times the allowed size is still read, to answer it; then the connection is cut.
constexpr std::int64_t kDrainFactor = 4;

// How long a caller may take to hang up after the end before it is cut off.
constexpr int kHangUpSeconds = 2;

// How much may still come, until when, and after what silence it is over. Set by the thread that serves the
// connection, before it reads.
struct Meter {
  std::int64_t bytes_left = 0;
  Clock::time_point deadline;
  int idle_ms = 0;

  void allow(std::int64_t bytes, int seconds, int idle_seconds) {
    bytes_left = bytes;
    deadline = Clock::now() + std::chrono::seconds(seconds);
    idle_ms = 1000 * idle_seconds;
  }
};

// A connection that reads no more than its meter allows, so that no message can take endless memory or time.
class MeteredConnection : public DcmTCPConnection {
 public:
  MeteredConnection(DcmNativeSocketType socket, Meter* meter) : DcmTCPConnection(socket), meter_(meter) {}

  ssize_t read(void* buffer, size_t size) override {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(meter_->deadline - Clock::now()).count();
    pollfd watched{getSocket(), POLLIN, 0};
    const bool ready =
        left > 0 && ::poll(&watched, 1, static_cast<int>(std::min<std::int64_t>(left, meter_->idle_ms))) > 0;
    if (!ready || meter_->bytes_left <= 0) {
      errno = ETIMEDOUT;
      return -1;
    }
    const ssize_t n = DcmTCPConnection::read(buffer, size);
    if (n > 0) meter_->bytes_left -= n;
    return n;
  }

 private:
  Meter* meter_;
};

class MeteredLayer : public DcmTransportLayer {
 public:
  Meter* next = nullptr;  // for the connection that is made next
  DcmTransportConnection* createConnection(DcmNativeSocketType socket, OFBool) override {
    disable_delay(socket);
    return new MeteredConnection(socket, next);
  }
};

class FileConsumer : public DcmConsumer {
 public:
  explicit FileConsumer(ReceivedFile& file) : file_(file) {}
  OFBool good() const override { return OFTrue; }
  OFCondition status() const override { return EC_Normal; }
  OFBool isFlushed() const override { return OFTrue; }
  offile_off_t avail() const override { return kMaxPduBytes; }
  offile_off_t write(const void* data, offile_off_t size) override {
    file_.write({static_cast<const std::byte*>(data), static_cast<std::size_t>(size)});
    return size;
  }
  void flush() override {}

 private:
  ReceivedFile& file_;
};

class FileStream : public DcmOutputStream {
 public:
  explicit FileStream(ReceivedFile& file) : DcmOutputStream(&consumer_), consumer_(file) {}

 private:
  FileConsumer consumer_;
};

const char* const kRuns[] = {
    UID_XRayAngiographicImageStorage,
    UID_EnhancedXAImageStorage,
    UID_XRayRadiofluoroscopicImageStorage,
    UID_EnhancedXRFImageStorage,
    UID_RETIRED_XRayAngiographicBiPlaneImageStorage,
};

const char* const kCaptures[] = {
    UID_SecondaryCaptureImageStorage,
    UID_MultiframeGrayscaleByteSecondaryCaptureImageStorage,
    UID_MultiframeGrayscaleWordSecondaryCaptureImageStorage,
    UID_MultiframeTrueColorSecondaryCaptureImageStorage,
};

// The first of these that a caller offers is used. Lossless ones come first, so that nobody is asked to degrade an
// image; every caller must be able to send uncompressed.
const char* const kTransferSyntaxes[] = {
    UID_LittleEndianExplicitTransferSyntax,
    UID_LittleEndianImplicitTransferSyntax,
    UID_BigEndianExplicitTransferSyntax,
    UID_JPEGProcess14SV1TransferSyntax,
    UID_JPEGProcess14TransferSyntax,
    UID_JPEGLSLosslessTransferSyntax,
    UID_JPEG2000LosslessOnlyTransferSyntax,
    UID_RLELosslessTransferSyntax,
    UID_DeflatedExplicitVRLittleEndianTransferSyntax,
    UID_JPEGProcess1TransferSyntax,
    UID_JPEGProcess2_4TransferSyntax,
    UID_JPEGLSLossyTransferSyntax,
    UID_JPEG2000TransferSyntax,
};

}  // namespace

bool await_association_request(int socket, int seconds) {
  const auto deadline = Clock::now() + std::chrono::seconds(seconds);
  std::uint32_t wanted = 6;  // type, reserved, length in four bytes, big endian (DICOM PS3.8, 9.3.2)
  std::vector<unsigned char> bytes;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    // poll() sleeps until this many bytes are there.
    const int low_water = static_cast<int>(wanted);
    ::setsockopt(socket, SOL_SOCKET, SO_RCVLOWAT, &low_water, sizeof low_water);
    pollfd watched{socket, POLLIN, 0};
    if (left <= 0 || ::poll(&watched, 1, static_cast<int>(left)) <= 0) return false;
    bytes.resize(wanted);
    const ssize_t n = ::recv(socket, bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
    if (n > 0 && bytes[0] != 0x01) return false;
    if (n < static_cast<ssize_t>(wanted)) return false;  // closed or broken before it was complete
    if (wanted > 6) break;
    const std::uint32_t length = static_cast<std::uint32_t>(bytes[2]) << 24 |
                                 static_cast<std::uint32_t>(bytes[3]) << 16 |
                                 static_cast<std::uint32_t>(bytes[4]) << 8 | bytes[5];
    if (length == 0 || length > kMaxAssociationRequestBytes) return false;
    wanted += length;
  }
  const int one = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
  return true;
}

struct AssociationServer::Data {
  StoreScpOptions options;
  std::filesystem::path receiving;
  OnObject on_object;
  const std::atomic<bool>& stopping;
  std::atomic<int> active{0};
  std::mutex receive_mutex;  // DCMTK takes the socket from a global variable
  T_ASC_Network* network = nullptr;
  MeteredLayer layer;

  Data(const StoreScpOptions& given, std::filesystem::path folder, OnObject callback, const std::atomic<bool>& stop)
      : options(given), receiving(std::move(folder)), on_object(std::move(callback)), stopping(stop) {}

  T_ASC_Association* receive(int socket, Meter& meter);
  std::optional<T_ASC_RejectParameters> reason_to_refuse(T_ASC_Association* association, const Session& session,
                                                         int now_active);
  void converse(T_ASC_Association* association, Session& session, Meter& meter);
  bool answer(T_ASC_Association* association, Meter& meter, T_ASC_PresentationContextID context,
              const T_DIMSE_Message& message);
  bool store(T_ASC_Association* association, Meter& meter, T_ASC_PresentationContextID context,
             const T_DIMSE_C_StoreRQ& request);
  std::optional<StoreStatus> receive_object(T_ASC_Association* association, Meter& meter,
                                            T_ASC_PresentationContextID context, const T_DIMSE_C_StoreRQ& request);
  StoreStatus hand_over(ReceivedFile& file, const ObjectIdentity& identity);
};

AssociationServer::AssociationServer(const StoreScpOptions& options, std::filesystem::path receiving,
                                     OnObject on_object, const std::atomic<bool>& stopping)
    : data_(std::make_unique<Data>(options, std::move(receiving), std::move(on_object), stopping)) {
  set_up_dcmtk();
  // DCMTK opens a port of its own on every interface for an acceptor; ours is opened by StoreScp, so that one goes.
  const OFCondition made = ASC_initializeNetwork(NET_ACCEPTOR, 0, kHangUpSeconds, &data_->network);
  CMUNET_CHECK(made.good(), ErrorCode::kIo, "[listen] ", made.text());
  ::shutdown(DUL_networkSocket(data_->network->network), SHUT_RDWR);
  ASC_setTransportLayer(data_->network, &data_->layer, 0);
}

AssociationServer::~AssociationServer() { ASC_dropNetwork(&data_->network); }

T_ASC_Association* AssociationServer::Data::receive(int socket, Meter& meter) {
  const std::lock_guard lock(receive_mutex);
  layer.next = &meter;
  dcmExternalSocketHandle.set(socket);
  T_ASC_Association* association = nullptr;
  const OFCondition received = ASC_receiveAssociation(network, &association, kMaxPduBytes, nullptr, nullptr, OFFalse,
                                                      DUL_NOBLOCK, options.handshake_seconds);
  dcmExternalSocketHandle.set(DCMNET_INVALID_SOCKET);
  if (received.good()) return association;
  log_warning("[node] closed a connection with a malformed association request");
  if (association != nullptr) {
    ASC_dropAssociation(association);
    ASC_destroyAssociation(&association);
  }
  return nullptr;
}

std::optional<T_ASC_RejectParameters> AssociationServer::Data::reason_to_refuse(T_ASC_Association* association,
                                                                                const Session& session,
                                                                                int now_active) {
  char calling[128] = "", called[128] = "", responding[128] = "", context[128] = "";
  ASC_getAPTitles(association->params, calling, sizeof calling, called, sizeof called, responding, sizeof responding);
  if (now_active > options.max_associations) {
    log_warning("[node] refused an association: ", options.max_associations, " are open");
    return T_ASC_RejectParameters{ASC_RESULT_REJECTEDTRANSIENT, ASC_SOURCE_SERVICEPROVIDER_PRESENTATION_RELATED,
                                  ASC_REASON_SP_PRES_LOCALLIMITEXCEEDED};
  }
  if (ASC_getApplicationContextName(association->params, context, sizeof context).bad() ||
      std::string_view(context) != UID_StandardApplicationContext) {
    log_warning("[node] refused an association: unknown application context");
    return T_ASC_RejectParameters{ASC_RESULT_REJECTEDPERMANENT, ASC_SOURCE_SERVICEUSER,
                                  ASC_REASON_SU_APPCONTEXTNAMENOTSUPPORTED};
  }
  if (!may_send(options.allowed, calling, session.address)) {
    log_warning("[node] refused an association: this caller's AE title is not allowed from its address");
    return T_ASC_RejectParameters{ASC_RESULT_REJECTEDPERMANENT, ASC_SOURCE_SERVICEUSER,
                                  ASC_REASON_SU_CALLINGAETITLENOTRECOGNIZED};
  }
  if (options.ae_title != called) {
    log_warning("[node] refused an association: it called another AE title than ", options.ae_title);
    return T_ASC_RejectParameters{ASC_RESULT_REJECTEDPERMANENT, ASC_SOURCE_SERVICEUSER,
                                  ASC_REASON_SU_CALLEDAETITLENOTRECOGNIZED};
  }
  return std::nullopt;
}

void AssociationServer::serve(Session& session) {
  Meter meter;
  meter.allow(kMaxAssociationRequestBytes + 6, data_->options.handshake_seconds, data_->options.handshake_seconds);
  T_ASC_Association* association = data_->receive(session.socket, meter);
  if (association == nullptr) return;
  const int now_active = data_->active.fetch_add(1) + 1;
  if (const auto refusal = data_->reason_to_refuse(association, session, now_active)) {
    ASC_rejectAssociation(association, &*refusal);
  } else {
    const char* const verification[] = {UID_VerificationSOPClass};
    const auto accept = [&](std::span<const char* const> classes, std::size_t syntaxes) {
      ASC_acceptContextsWithPreferredTransferSyntaxes(
          association->params, const_cast<const char**>(classes.data()), static_cast<int>(classes.size()),
          const_cast<const char**>(kTransferSyntaxes), static_cast<int>(syntaxes));
    };
    accept(verification, 2);
    accept(kRuns, std::size(kTransferSyntaxes));
    if (data_->options.takes_captures) accept(kCaptures, std::size(kTransferSyntaxes));
    if (ASC_acknowledgeAssociation(association).good()) data_->converse(association, session, meter);
  }
  meter.allow(kMaxCommandBytes, kHangUpSeconds, kHangUpSeconds);
  ASC_dropSCPAssociation(association, kHangUpSeconds);
  ASC_destroyAssociation(&association);
  data_->active.fetch_sub(1);
}

void AssociationServer::Data::converse(T_ASC_Association* association, Session& session, Meter& meter) {
  while (!stopping) {
    T_ASC_PresentationContextID context = 0;
    T_DIMSE_Message message{};
    DcmDataset* detail = nullptr;
    session.idle = true;
    meter.allow(kMaxCommandBytes, options.idle_seconds, options.idle_seconds);
    const OFCondition received =
        DIMSE_receiveCommand(association, DIMSE_NONBLOCKING, options.idle_seconds, &context, &message, &detail);
    session.idle = false;
    delete detail;
    if (received == DUL_PEERREQUESTEDRELEASE) {
      ASC_acknowledgeRelease(association);
      return;
    }
    if (received == DUL_PEERABORTEDASSOCIATION) return;
    if (received.bad() || !answer(association, meter, context, message)) break;
  }
  ASC_abortAssociation(association);
}

bool AssociationServer::Data::answer(T_ASC_Association* association, Meter& meter, T_ASC_PresentationContextID context,
                                     const T_DIMSE_Message& message) {
  if (message.CommandField == DIMSE_C_ECHO_RQ) {
    return DIMSE_sendEchoResponse(association, context, &message.msg.CEchoRQ, STATUS_Success, nullptr).good();
  }
  if (message.CommandField == DIMSE_C_STORE_RQ) return store(association, meter, context, message.msg.CStoreRQ);
  log_warning("[node] ended an association that asked for something else than C-STORE or C-ECHO");
  return false;
}

bool AssociationServer::Data::store(T_ASC_Association* association, Meter& meter, T_ASC_PresentationContextID context,
                                    const T_DIMSE_C_StoreRQ& request) {
  const auto status = receive_object(association, meter, context, request);
  if (!status) return false;
  T_DIMSE_C_StoreRSP response{};
  response.DimseStatus = static_cast<DIC_US>(*status);
  response.MessageIDBeingRespondedTo = request.MessageID;
  response.DataSetType = DIMSE_DATASET_NULL;
  OFStandard::strlcpy(response.AffectedSOPClassUID, request.AffectedSOPClassUID, sizeof response.AffectedSOPClassUID);
  OFStandard::strlcpy(response.AffectedSOPInstanceUID, request.AffectedSOPInstanceUID,
                      sizeof response.AffectedSOPInstanceUID);
  response.opts = O_STORE_AFFECTEDSOPCLASSUID | O_STORE_AFFECTEDSOPINSTANCEUID;
  return DIMSE_sendStoreResponse(association, context, &request, &response, nullptr).good();
}

// The status to answer with; none when the connection is not worth an answer.
std::optional<StoreStatus> AssociationServer::Data::receive_object(T_ASC_Association* association, Meter& meter,
                                                                   T_ASC_PresentationContextID context,
                                                                   const T_DIMSE_C_StoreRQ& request) {
  T_ASC_PresentationContext accepted{};
  if (request.DataSetType == DIMSE_DATASET_NULL ||
      ASC_findAcceptedPresentationContext(association->params, context, &accepted).bad()) {
    return std::nullopt;
  }
  ObjectIdentity identity{request.AffectedSOPClassUID, request.AffectedSOPInstanceUID, accepted.acceptedTransferSyntax};
  const bool is_named = is_uid(identity.sop_instance_uid) && identity.sop_class_uid == accepted.abstractSyntax;
  if (!is_named) identity.sop_class_uid = identity.sop_instance_uid = "0";
  try {
    ReceivedFile file(receiving, identity, options.max_object_bytes);
    FileStream stream(file);
    T_ASC_PresentationContextID data_context = 0;
    meter.allow(kDrainFactor * static_cast<std::int64_t>(options.max_object_bytes), options.object_seconds,
                options.idle_seconds);
    const OFCondition received = DIMSE_receiveDataSetInFile(association, DIMSE_NONBLOCKING, options.idle_seconds,
                                                            &data_context, &stream, nullptr, nullptr);
    if (received.bad() || data_context != context) {
      log_warning("[node] an object broke off after ", file.size(), " bytes");
      return std::nullopt;
    }
    if (!is_named) return StoreStatus::kInvalidUid;
    return hand_over(file, identity);
  } catch (const std::exception& e) {
    log_warning("[node] cannot receive: ", e.what());
    return std::nullopt;
  }
}

StoreStatus AssociationServer::Data::hand_over(ReceivedFile& file, const ObjectIdentity& identity) {
  if (file.too_large()) {
    log_warning("[node] refused an object of ", file.size(), " bytes; at most ", options.max_object_bytes);
    return StoreStatus::kOutOfResources;
  }
  if (file.failed()) {
    log_warning("[node] refused an object: the disk cannot take it");
    return StoreStatus::kOutOfResources;
  }
  std::filesystem::path kept;
  try {
    kept = file.commit();
    return on_object(kept, identity);
  } catch (const std::exception& e) {
    std::error_code ignored;
    if (!kept.empty()) std::filesystem::remove(kept, ignored);  // nobody is told that it arrived
    log_warning("[node] refused an object: ", e.what());
    return StoreStatus::kOutOfResources;
  }
}

}  // namespace cmunet::pacs
