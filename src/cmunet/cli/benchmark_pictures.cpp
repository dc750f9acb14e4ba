// SPDX-License-Identifier: Apache-2.0
// Figs. 5 and 6 of a benchmark's page: pictures, for which the models are run on a few images.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>

#include "cmunet/base/error.h"
#include "cmunet/base/model_file.h"
#include "cmunet/cli/benchmark_figures.h"
#include "cmunet/cli/store_images.h"
#include "cmunet/codec/codec.h"
#include "cmunet/engine/native_engine.h"
#include "cmunet/engine/postprocess.h"
#include "cmunet/metrics/metrics.h"
#include "cmunet/report/overlay.h"
#include "cmunet/report/text.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;
using Picture = report::PictureGrid::Picture;

constexpr std::array<double, 3> kPlacesByDice{0.9, 0.5, 0.1};

struct ShownImage {
  std::string id;
  image::ImageF image;
  image::Mask target;
};

// Ids of images by Dice averaged over all cells, lowest first.
std::vector<std::string> ids_by_dice(const FigureData& data) {
  std::map<std::string, std::pair<double, double>> sums;  // sum, number
  for (const BenchmarkCell& cell : data.cells) {
    const Json& evaluation = cell.evaluation(data.shown);
    if (!evaluation.is_object()) continue;
    for (const Json& image : evaluation["images"]) {
      const double dice = number_or_nan(image["dice"]);
      if (std::isnan(dice)) continue;
      auto& [sum, number] = sums[image["id"].get<std::string>()];
      sum += dice, number += 1;
    }
  }
  std::vector<std::pair<double, std::string>> order;
  for (const auto& [id, sum] : sums) order.emplace_back(sum.first / sum.second, id);
  std::ranges::sort(order);
  std::vector<std::string> ids;
  for (auto& [dice, id] : order) ids.push_back(std::move(id));
  return ids;
}

std::vector<ShownImage> pick_images(const FigureData& data, const dataset::Store& store) {
  const std::vector<std::string> ids = ids_by_dice(data);
  const dataset::Split split = data.shown == Shown::kTest ? dataset::Split::kTest : dataset::Split::kVal;
  std::vector<ShownImage> images;
  if (ids.empty()) return images;
  for (const double place : kPlacesByDice) {
    const std::string& id = ids[static_cast<std::size_t>(std::lround(place * static_cast<double>(ids.size() - 1)))];
    for (const std::size_t index : labelled_in(store, split)) {
      const bool is_new = std::ranges::find(images, id, &ShownImage::id) == images.end();
      if (store.records()[index].id == id && is_new) {
        images.push_back({id, image_of(store, index), mask_of(store, index)});
      }
    }
  }
  return images;
}

// The model's segmentation of each image against the truth. Pictures without an image where the model is not there.
std::vector<Picture> segmentations(const FigureData& data, const std::string& method, std::int64_t labels,
                                   const std::vector<ShownImage>& images) {
  std::vector<Picture> pictures(images.size());
  const auto cells = cells_of(data.cells, data.regime, method, labels);
  if (cells.empty()) return pictures;
  const std::string& run = cells.front()->job.name;
  const SafetensorsFile file = SafetensorsFile::open(find_model_file(data.out / run));
  const auto engine = engine::make_native_engine(engine::read_unet_weights(file));
  for (std::size_t i = 0; i < images.size(); ++i) {
    const image::ImageF probability = engine->vessel_probability(std::span(&images[i].image, 1)).front();
    const image::Mask pred = engine::postprocess(probability, {}).mask;
    pictures[i].image = report::overlay_errors(images[i].image, pred, images[i].target);
    pictures[i].caption = "Dice " + report::format_fixed(metrics::dice(pred, images[i].target), 3);
    pictures[i].href = run + "/";
  }
  return pictures;
}

Picture truth_of(const ShownImage& shown) { return {report::overlay_mask(shown.image, shown.target), "truth", ""}; }

void add_by_labels(const FigureData& data, const std::vector<ShownImage>& images, report::Page& page) {
  const std::string method = highlighted_method(data.options);
  report::PictureGrid grid;
  grid.columns = {"image", "truth"};
  for (const ShownImage& shown : images) {
    grid.rows.push_back({shown.id, {{report::to_rgb(report::to_grey8(shown.image)), "", ""}, truth_of(shown)}});
  }
  for (const std::int64_t labels : data.options.labels) {
    grid.columns.push_back(labels_title(labels));
    const std::vector<Picture> pictures = segmentations(data, method, labels, images);
    for (std::size_t i = 0; i < images.size(); ++i) grid.rows[i].pictures.push_back(pictures[i]);
  }
  page.heading("Fig. 5: segmentations by number of labels");
  page.pictures(grid, concat(method, ", first seed. Images at 90, 50 and 10 % of the order by Dice over all models."));
}

// What pre-training last drew of its first picture: input, reconstruction, original, one above the other and images
// side by side. Empty pictures for methods that rebuild nothing.
std::vector<Picture> reconstruction(const FigureData& data, const std::string& method) {
  std::vector<Picture> pictures(3);
  for (const BenchmarkCell& cell : data.cells) {
    const fs::path folder = data.out / cell.job.needs / "pictures";
    if (cell.job.method != method || cell.job.needs.empty() || !fs::is_directory(folder)) continue;
    std::optional<fs::path> latest;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == ".png" && (!latest || entry.path() > *latest)) latest = entry.path();
    }
    if (!latest) continue;
    const image::ImageF strip = codec::read_image(*latest).grey;
    const int side = strip.height() / 3;
    if (side == 0 || strip.width() < side) continue;
    for (int row = 0; row < 3; ++row) {
      image::ImageF part(side, side);
      for (int y = 0; y < side; ++y) std::copy_n(strip.row(row * side + y), side, part.row(y));
      pictures[static_cast<std::size_t>(row)] = {report::to_rgb(report::to_grey8(part)), "", cell.job.needs + "/"};
    }
    break;
  }
  return pictures;
}

void add_by_method(const FigureData& data, const std::vector<ShownImage>& images, report::Page& page) {
  const std::int64_t fewest = fewest_labels(data.options);
  report::PictureGrid grid;
  grid.columns = {"pre-training sees", "rebuilds", "should rebuild"};
  report::PictureGrid::Row truth{"truth", std::vector<Picture>(3)};
  for (const ShownImage& shown : images) {
    grid.columns.push_back(shown.id);
    truth.pictures.push_back(truth_of(shown));
  }
  grid.rows.push_back(std::move(truth));
  for (const auto& method : data.options.methods) {
    report::PictureGrid::Row& row = grid.rows.emplace_back();
    row.title = method.name;
    row.pictures = reconstruction(data, method.name);
    const std::vector<Picture> pictures = segmentations(data, method.name, fewest, images);
    row.pictures.insert(row.pictures.end(), pictures.begin(), pictures.end());
  }
  page.heading("Fig. 6: reconstructions and segmentations by method");
  page.pictures(grid,
                concat("Left: what the last pictures of pre-training show; a dash where nothing is rebuilt. Right: "
                       "segmentations after fine-tuning on ",
                       labels_title(fewest), ", first seed."));
}

}  // namespace

void add_picture_figures(const FigureData& data, const fs::path& store_dir, report::Page& page) {
  const std::vector<ShownImage> images = pick_images(data, dataset::Store::open(store_dir));
  if (images.empty()) return;
  add_by_labels(data, images, page);
  const std::array<report::ColourKey, 3> keys{{{report::kTruePositiveColour, "found"},
                                               {report::kFalsePositiveColour, "found where there is none"},
                                               {report::kFalseNegativeColour, "missed"}}};
  page.colour_keys(keys);
  add_by_method(data, images, page);
}

}  // namespace cmunet::cli
