// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/opacification.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "cmunet/base/error.h"
#include "cmunet/image/resize.h"
#include "cmunet/vessel/vesselness.h"

namespace cmunet::vessel {
namespace {

constexpr int kGridPx = 256;
constexpr std::array kSigmasPx = {1.5, 2.2, 3.2};  // arteries of 1.5 to 4 mm in a field of 14 cm
constexpr int kReach = 50;                         // the side over the reach of the neighbourhood
constexpr int kMaxEarly = 5;
constexpr int kSmoothReach = 2;  // frames on either side
// Grey values near black are mostly noise, and the logarithm would blow it up.
constexpr float kDark = 8.0F;
// Runs without contrast medium stay below 3e-5, those with it rise above 1e-3.
constexpr double kVisible = 2e-4;

image::ImageF reduced(const image::ImageF& frame) {
  const int side = std::max(frame.height(), frame.width());
  if (side <= kGridPx) return frame;
  const auto scaled = [side](int length) { return std::max(1, length * kGridPx / side); };
  return image::resize_bilinear(frame, scaled(frame.height()), scaled(frame.width()));
}

image::ImageF attenuation(image::ImageF grey, bool is_log) {
  const float log_range = std::log((255 + kDark) / kDark);
  for (float& v : grey) v = is_log ? v / 255 * log_range : std::log(std::max(v, 0.0F) + kDark);
  return grey;
}

// The largest value within a square of side 2 · reach + 1.
image::ImageF neighbourhood_maximum(const image::ImageF& image, int reach) {
  image::ImageF rows = image, result = image;
  for (int y = 0; y < image.height(); ++y) {
    for (int x = 0; x < image.width(); ++x) {
      const float* row = image.row(y);
      rows.at(y, x) = *std::max_element(row + std::max(0, x - reach), row + std::min(image.width(), x + reach + 1));
    }
  }
  for (int y = 0; y < image.height(); ++y) {
    for (int near = std::max(0, y - reach); near < std::min(image.height(), y + reach + 1); ++near) {
      std::transform(rows.row(near), rows.row(near) + image.width(), result.row(y), result.row(y),
                     [](float a, float b) { return std::max(a, b); });
    }
  }
  return result;
}

double mean_gain(const image::ImageF& response, const image::ImageF& reference, const image::Mask& field) {
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < response.size(); ++i) {
    if (field.data()[i] == 0) continue;
    ++count;
    sum += static_cast<double>(std::max(0.0F, response.data()[i] - reference.data()[i]));
  }
  return count == 0 ? 0.0 : sum / static_cast<double>(count);
}

}  // namespace

OpacificationMeter::OpacificationMeter(int frames, bool is_log)
    : frames_(frames), early_frames_(std::clamp(frames / 6, 1, kMaxEarly)), is_log_(is_log) {
  CMUNET_CHECK(frames > 0, ErrorCode::kInvalidArgument, "[opacification] the run has ", frames,
               " frames; must have one or more");
}

void OpacificationMeter::add(const image::ImageF& frame, const image::Mask& field) {
  image::check_same_size(frame, field, "opacification");
  CMUNET_CHECK(score_.size() < static_cast<std::size_t>(frames_), ErrorCode::kInvalidArgument,
               "[opacification] more than the ", frames_, " frames that were announced");
  CMUNET_CHECK(std::min(frame.height(), frame.width()) >= 32, ErrorCode::kInvalidArgument, "[opacification] a ",
               frame.height(), "x", frame.width(), " frame; must have 32 px a side");
  const image::ImageF response = tube_response(attenuation(reduced(frame), is_log_), kSigmasPx);
  const bool is_first = score_.empty();
  CMUNET_CHECK(is_first || (response.height() == reference_.height() && response.width() == reference_.width()),
               ErrorCode::kInvalidArgument, "[opacification] frames of one run differ in size");
  if (static_cast<int>(score_.size()) < early_frames_) {
    if (is_first) reference_ = image::ImageF(response.height(), response.width());
    std::transform(reference_.begin(), reference_.end(), response.begin(), reference_.begin(),
                   [](float a, float b) { return std::max(a, b); });
    score_.push_back(0);
    if (static_cast<int>(score_.size()) == early_frames_) {
      const int reach = std::max(1, std::max(reference_.height(), reference_.width()) / kReach);
      reference_ = neighbourhood_maximum(reference_, reach);
    }
    return;
  }
  score_.push_back(mean_gain(response, reference_, image::resize_nearest(field, response.height(), response.width())));
}

Opacification OpacificationMeter::result() const {
  CMUNET_CHECK(!score_.empty(), ErrorCode::kInvalidArgument, "[opacification] there is no frame yet");
  Opacification result;
  result.score = score_;
  const auto n = static_cast<std::ptrdiff_t>(score_.size());
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const auto first = score_.begin() + std::max<std::ptrdiff_t>(0, i - kSmoothReach);
    const auto last = score_.begin() + std::min(n, i + kSmoothReach + 1);
    result.smoothed.push_back(std::accumulate(first, last, 0.0) / static_cast<double>(last - first));
  }
  const auto best = std::max_element(result.smoothed.begin(), result.smoothed.end());
  result.best_frame = static_cast<int>(best - result.smoothed.begin());
  result.fills = *best >= kVisible;
  return result;
}

Opacification measure_opacification(int frames, const std::function<image::ImageF(int)>& frame,
                                    const image::Mask& field, bool is_log) {
  OpacificationMeter meter(frames, is_log);
  for (int i = 0; i < frames; ++i) meter.add(frame(i), field);
  return meter.result();
}

}  // namespace cmunet::vessel
