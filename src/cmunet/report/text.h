// SPDX-License-Identifier: Apache-2.0
// Text as a report shows it: escaped for markup, numbers with fixed decimals, bytes as base64.
#pragma once

#include <string>
#include <string_view>

namespace cmunet::report {

/// `text` so that it shows as itself in HTML and SVG, inside elements and inside quoted attributes: & < > " ' become
/// references; control characters that XML forbids and bytes that are not UTF-8 become U+FFFD.
std::string escape(std::string_view text);

/// `value` with `digits` decimals; an en dash for NaN, "∞" and "-∞" for the infinities. Never "-0.00".
std::string format_fixed(double value, int digits);

/// The shortest text that reads back as exactly `value`; "nan", "inf" and "-inf" for the others.
std::string format_exact(double value);

/// Base64 of `bytes` (RFC 4648, with padding).
std::string base64(std::string_view bytes);

}  // namespace cmunet::report
