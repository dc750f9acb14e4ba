// SPDX-License-Identifier: Apache-2.0
#include <opencv2/imgproc.hpp>
#include <vector>

#include "cmunet/image/morphology.h"
#include "cmunet/preprocess/steps.h"

namespace cmunet::preprocess {
namespace {

/// Outlines of the background are drawn as vessel. The frame around the picture keeps the picture's own border, which
/// would be such an outline too, from turning into vessel.
image::Mask smooth_by_contours(const image::Mask& mask) {
  constexpr int kFrame = 1;
  cv::Mat background(mask.height() + 2 * kFrame, mask.width() + 2 * kFrame, CV_8U, cv::Scalar(255));
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) {
      if (mask.at(y, x) != 0) background.at<std::uint8_t>(y + kFrame, x + kFrame) = 0;
    }
  }
  std::vector<std::vector<cv::Point>> outlines;
  cv::findContours(background.clone(), outlines, cv::RETR_CCOMP, cv::CHAIN_APPROX_SIMPLE);
  cv::drawContours(background, outlines, -1, cv::Scalar(0), 1);
  image::Mask result = mask;
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) {
      result.at(y, x) = background.at<std::uint8_t>(y + kFrame, x + kFrame) == 0 ? 1 : 0;
    }
  }
  return result;
}

}  // namespace

image::Mask smooth_mask(const image::Mask& mask, MaskSmoothing smoothing) {
  switch (smoothing) {
    case MaskSmoothing::kMajority: return image::majority3x3(mask);
    case MaskSmoothing::kContour: return smooth_by_contours(mask);
    case MaskSmoothing::kNone: break;
  }
  return mask;
}

}  // namespace cmunet::preprocess
