// SPDX-License-Identifier: Apache-2.0
#include "cmunet/pacs/dcmtk_setup.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmnet/dul.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "cmunet/dicom/toolkit.h"

namespace cmunet::pacs {

void set_up_dcmtk() {
  dicom::start_toolkit();
  static const bool set = [] {
    dcmDisableGethostbyaddr.set(OFTrue);
    return true;
  }();
  static_cast<void>(set);
}

void disable_delay(int socket) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace cmunet::pacs
