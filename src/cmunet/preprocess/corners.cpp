// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <opencv2/photo.hpp>

#include "cmunet/preprocess/steps.h"

namespace cmunet::preprocess {
namespace {

constexpr int kWidenPx = 2;  // a 5 x 5 square: the edge of a dark corner is itself half dark

cv::Mat dark_corner_pixels(const image::ImageF& grey, const Options& options) {
  const int shorter = std::min(grey.height(), grey.width());
  const int side = static_cast<int>(options.inpaint_corner_frac * shorter);
  const auto near_edge = [side](int i, int n) { return i < side || i >= n - side; };
  cv::Mat dark = cv::Mat::zeros(grey.height(), grey.width(), CV_8U);
  for (int y = 0; y < grey.height(); ++y) {
    if (!near_edge(y, grey.height())) continue;
    for (int x = 0; x < grey.width(); ++x) {
      const bool is_dark = near_edge(x, grey.width()) && grey.at(y, x) <= static_cast<float>(options.inpaint_threshold);
      if (is_dark) dark.at<std::uint8_t>(y, x) = 255;
    }
  }
  return dark;
}

cv::Mat to_bytes(const image::ImageF& grey) {
  cv::Mat bytes(grey.height(), grey.width(), CV_8U);
  for (int y = 0; y < grey.height(); ++y) {
    for (int x = 0; x < grey.width(); ++x) {
      bytes.at<std::uint8_t>(y, x) = static_cast<std::uint8_t>(std::lround(std::clamp(grey.at(y, x), 0.0F, 255.0F)));
    }
  }
  return bytes;
}

}  // namespace

image::ImageF inpaint_corners(const image::ImageF& grey, const Options& options) {
  const cv::Mat dark = dark_corner_pixels(grey, options);
  if (cv::countNonZero(dark) < std::max(1, options.inpaint_min_pixels)) return grey;
  cv::Mat hole;
  cv::dilate(dark, hole, cv::Mat::ones(2 * kWidenPx + 1, 2 * kWidenPx + 1, CV_8U));
  if (cv::countNonZero(hole) == static_cast<int>(grey.size())) return grey;  // nothing to fill from

  cv::Mat filled;
  cv::inpaint(to_bytes(grey), hole, filled, options.inpaint_radius_px, cv::INPAINT_TELEA);
  image::ImageF result = grey;
  for (int y = 0; y < grey.height(); ++y) {
    for (int x = 0; x < grey.width(); ++x) {
      if (hole.at<std::uint8_t>(y, x) != 0) result.at(y, x) = static_cast<float>(filled.at<std::uint8_t>(y, x));
    }
  }
  return result;
}

}  // namespace cmunet::preprocess
