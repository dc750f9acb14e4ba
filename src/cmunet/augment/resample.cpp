// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/resample.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <span>

#include "cmunet/augment/batch.h"
#include "cmunet/base/error.h"
#include "cmunet/image/resize.h"

namespace cmunet::augment {
namespace {

// Pictures [N, …] and one parameter for each.
void check_batch(const char* operation, const at::Tensor& pictures, std::int64_t dim, std::size_t parameters) {
  CMUNET_CHECK(pictures.dim() == dim && (dim != 4 || pictures.size(1) == 1) &&
                   pictures.size(0) == static_cast<std::int64_t>(parameters) && pictures.numel() > 0,
               ErrorCode::kInvalidArgument, "[", operation, "] got pictures ", pictures.sizes(), " and ", parameters,
               " parameters; expected ", dim == 4 ? "[N, 1, H, W]" : "[N, H, W]", " and N parameters, N positive");
}

// Where pixel `i` of `out` reads along a line of `in` pixels, nearest neighbour with pixel centres at half-integers.
std::int64_t nearest(std::int64_t i, double start, double length, std::int64_t out, std::int64_t in) {
  const double centre = start + (static_cast<double>(i) + 0.5) * length / static_cast<double>(out);
  return std::clamp(static_cast<std::int64_t>(std::floor(centre)), std::int64_t{0}, in - 1);
}

// [n, length] of index(n, i).
template <typename Index>
at::Tensor index_rows(std::int64_t n, std::int64_t length, Index index) {
  at::Tensor rows = torch::empty({n, length}, torch::kLong);
  auto* next = rows.data_ptr<std::int64_t>();
  for (std::int64_t k = 0; k < n; ++k) {
    for (std::int64_t i = 0; i < length; ++i) *next++ = index(static_cast<std::size_t>(k), i);
  }
  return rows;
}

// result[n, i, j] = pictures[n, rows[n, i], columns[n, j]]; pictures [N, H, W], rows [N, h], columns [N, w] on the
// host.
at::Tensor take(const at::Tensor& pictures, const at::Tensor& rows, const at::Tensor& columns) {
  const at::Device device = pictures.device();
  const at::Tensor n = torch::arange(pictures.size(0), at::TensorOptions(device).dtype(torch::kLong));
  return pictures.index({n.view({-1, 1, 1}), send(rows, device).unsqueeze(2), send(columns, device).unsqueeze(1)});
}

// Reading a flattened picture: output pixel (y, x) is input pixel start + y · step_y + x · step_x.
struct Walk {
  std::int64_t start = 0, step_y = 0, step_x = 0;
};

Walk walk_of(Orientation orientation, std::int64_t h, std::int64_t w) {
  switch (orientation) {
    case Orientation::kAsIs: break;
    case Orientation::kFlipLeftRight: return {w - 1, w, -1};
    case Orientation::kFlipUpDown: return {(h - 1) * w, -w, 1};
    case Orientation::kTurn90: return {w - 1, -1, w};
    case Orientation::kTurn180: return {h * w - 1, -w, -1};
    case Orientation::kTurn270: return {(h - 1) * w, 1, -w};
  }
  return {0, w, 1};
}

}  // namespace

at::Tensor resized_crops(const at::Tensor& images, const std::vector<Box>& boxes, int height, int width) {
  check_batch("resized_crops", images, 4, boxes.size());
  const std::int64_t n = images.size(0), h = images.size(2), w = images.size(3);
  at::Tensor rows = torch::empty({n, height, h});
  at::Tensor columns = torch::empty({n, width, w});
  const auto weights_of = [](at::Tensor& all, std::int64_t i, double start, double length) {
    const std::int64_t out = all.size(1), in = all.size(2);
    const std::span<float> part(all.data_ptr<float>() + i * out * in, static_cast<std::size_t>(out * in));
    image::fill_bicubic_weights(part, static_cast<int>(in), start, length, static_cast<int>(out));
    return part;
  };
  for (std::int64_t i = 0; i < n; ++i) {
    const Box& box = boxes[static_cast<std::size_t>(i)];
    weights_of(rows, i, box.top, box.height);
    const std::span<float> part = weights_of(columns, i, box.left, box.width);
    if (!box.mirrored) continue;
    for (std::int64_t a = 0, b = width - 1; a < b; ++a, --b) {
      std::swap_ranges(part.data() + a * w, part.data() + (a + 1) * w, part.data() + b * w);
    }
  }
  const at::Device device = images.device();
  // [N, h', H] · [N, H, W] · [N, W, w'] -> [N, h', w']
  const at::Tensor across = send(rows, device).bmm(images.squeeze(1).to(torch::kFloat));
  return across.bmm(send(columns, device).transpose(1, 2)).unsqueeze(1);
}

at::Tensor nearest_crops(const at::Tensor& masks, const std::vector<Box>& boxes, int height, int width) {
  check_batch("nearest_crops", masks, 3, boxes.size());
  const std::int64_t n = masks.size(0), h = masks.size(1), w = masks.size(2);
  return take(
      masks,
      index_rows(n, height,
                 [&](std::size_t k, std::int64_t i) { return nearest(i, boxes[k].top, boxes[k].height, height, h); }),
      index_rows(n, width, [&](std::size_t k, std::int64_t i) {
        return nearest(boxes[k].mirrored ? width - 1 - i : i, boxes[k].left, boxes[k].width, width, w);
      }));
}

at::Tensor windows(const at::Tensor& images, const std::vector<Corner>& corners, int size) {
  check_batch("windows", images, 4, corners.size());
  std::vector<at::Tensor> parts;
  for (const Corner& c : corners) {
    CMUNET_CHECK(c.top >= 0 && c.left >= 0 && c.top + size <= images.size(2) && c.left + size <= images.size(3),
                 ErrorCode::kInvalidArgument, "[windows] a window of ", size, " px at (", c.top, ", ", c.left,
                 ") is not inside ", images.size(2), "x", images.size(3));
    const at::Tensor image = images[static_cast<std::int64_t>(parts.size())];
    parts.push_back(image.narrow(1, c.top, size).narrow(2, c.left, size));
  }
  return torch::stack(parts);
}

at::Tensor oriented(const at::Tensor& pictures, const std::vector<Orientation>& orientations) {
  check_batch("oriented", pictures, pictures.dim() == 4 ? 4 : 3, orientations.size());
  const std::int64_t h = pictures.size(-2), w = pictures.size(-1);
  std::array<std::vector<std::int64_t>, 3> walks;  // starts, steps along y, steps along x
  for (const Orientation orientation : orientations) {
    CMUNET_CHECK(h == w || (orientation != Orientation::kTurn90 && orientation != Orientation::kTurn270),
                 ErrorCode::kInvalidArgument, "[oriented] a quarter turn of ", h, "x", w, "; must be square");
    const Walk walk = walk_of(orientation, h, w);
    walks[0].push_back(walk.start);
    walks[1].push_back(walk.step_y);
    walks[2].push_back(walk.step_x);
  }
  const at::Device device = pictures.device();
  const auto per_picture = [&](const std::vector<std::int64_t>& v) {
    return send(torch::tensor(v).view({-1, 1, 1}), device);
  };
  const auto long_on_device = at::TensorOptions(device).dtype(torch::kLong);
  const at::Tensor y = torch::arange(h, long_on_device).view({1, h, 1});
  const at::Tensor x = torch::arange(w, long_on_device).view({1, 1, w});
  const at::Tensor source = per_picture(walks[0]) + y * per_picture(walks[1]) + x * per_picture(walks[2]);  // [N, H, W]
  return pictures.flatten(1).gather(1, source.flatten(1)).view(pictures.sizes());
}

at::Tensor coarsened(const at::Tensor& images, const std::vector<double>& scales) {
  check_batch("coarsened", images, 4, scales.size());
  const auto there_and_back = [&](std::int64_t size) {
    return index_rows(images.size(0), size, [&](std::size_t k, std::int64_t i) {
      const auto length = static_cast<double>(size);
      const auto small = std::clamp(std::int64_t{std::llround(length * scales[k])}, std::int64_t{1}, size);
      return nearest(nearest(i, 0, static_cast<double>(small), size, small), 0, length, small, size);
    });
  };
  return take(images.squeeze(1), there_and_back(images.size(2)), there_and_back(images.size(3))).unsqueeze(1);
}

at::Tensor moved(const at::Tensor& pictures, const std::vector<Motion>& motions, Sampling sampling) {
  check_batch("moved", pictures, pictures.dim() == 4 ? 4 : 3, motions.size());
  namespace F = torch::nn::functional;
  const std::int64_t n = pictures.size(0), h = pictures.size(-2), w = pictures.size(-1);
  const double aspect = static_cast<double>(h) / static_cast<double>(w);
  at::Tensor theta = torch::empty({n, 2, 3});
  auto* next = theta.data_ptr<float>();
  for (const Motion& motion : motions) {
    // Where output pixels read, in coordinates in which the picture spans [-1, 1] both ways and y points down.
    const double angle = motion.angle_deg * std::numbers::pi / 180;
    const double c = std::cos(angle) / motion.scale, s = std::sin(angle) / motion.scale;
    for (const double value : {c, -s * aspect, 0.0, s / aspect, c, 0.0}) *next++ = static_cast<float>(value);
  }
  const at::Tensor grid = F::affine_grid(send(theta, pictures.device()), std::vector<std::int64_t>{n, 1, h, w}, false);
  auto options = F::GridSampleFuncOptions().padding_mode(torch::kReflection).align_corners(false);
  if (sampling == Sampling::kBilinear) {
    options.mode(torch::kBilinear);
  } else {
    options.mode(torch::kNearest);
  }
  const at::Tensor result = F::grid_sample(pictures.reshape({n, 1, h, w}).to(torch::kFloat), grid, options);
  return result.view(pictures.sizes()).to(pictures.scalar_type());
}

}  // namespace cmunet::augment
