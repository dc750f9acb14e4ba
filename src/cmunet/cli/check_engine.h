// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "cmunet/cli/command.h"

namespace cmunet::cli {

/// `cmunet info --check-engine MODEL PATH…`: this program's engine against another on the user's own images, each as
/// `predict` would prepare it. In `cmunet` native against the slow reference, in `cmunet-train` LibTorch against
/// native.
/// @throws Error kNotFound without images; as reading model and images does.
void check_engine(const std::string& model, const std::vector<std::string>& inputs, const CommonOptions& common);

}  // namespace cmunet::cli
