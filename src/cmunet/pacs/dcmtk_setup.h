// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace cmunet::pacs {

/// Starts DCMTK as `dicom` does, and switches off its reverse name look-ups. Cheap after the first time.
void set_up_dcmtk();

/// Sends small messages of this socket without waiting for more: each one of DICOM's is answered before the next.
void disable_delay(int socket);

}  // namespace cmunet::pacs
