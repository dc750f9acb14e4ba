// SPDX-License-Identifier: Apache-2.0
// An evaluation for people and for programs: a page, a table with one row per image, a JSON document.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/image/image.h"
#include "cmunet/metrics/evaluation.h"
#include "cmunet/report/html.h"
#include "cmunet/report/table.h"

namespace cmunet::report {

/// An image that the page shows with its errors.
struct Example {
  std::string id;       ///< as in the evaluation
  image::ImageF image;  ///< any range; empty when there is none
  image::Mask pred;
  image::Mask target;
};

/// Indices into `evaluation.images`; no index stands twice.
struct Picks {
  std::vector<std::size_t> best;    ///< highest Dice first
  std::vector<std::size_t> median;  ///< around the middle, higher Dice first
  std::vector<std::size_t> worst;   ///< lowest Dice first
  /// All of them: the images whose pixels the page needs.
  std::vector<std::size_t> all() const;
};

/// The images that the page shows, by Dice, ties by position: three of each kind, fewer below nine images. Images
/// without a defined Dice are left out.
Picks pick_examples(const metrics::Evaluation& evaluation);

/// What the page and the JSON document say besides the numbers.
struct EvaluationPage {
  PageHead head{"Evaluation", "", ""};
  Json source = Json::object();  ///< what was evaluated: model, store, folders …; an object, may be nested
};

/// One row per measure: mean ± sd, 95 % confidence interval of the mean, number of images, of undefined values.
Table summary_table(const metrics::Evaluation& evaluation);
/// Pooled Dice and IoU (pixels of all images counted together) and soft clDice: how the paper's tables were made.
Table comparison_table(const metrics::Evaluation& evaluation);
/// One row per image: id, measures, diameters, pixel counts; titles are the keys of the JSON document.
Table image_table(const metrics::Evaluation& evaluation);

/// The first two as text for a terminal.
std::string evaluation_text(const metrics::Evaluation& evaluation);
/// `metrics::to_json` with "source", "version" and "disclaimer" added.
Json evaluation_json(const metrics::Evaluation& evaluation, const Json& source);

/// One self-contained page (see html.h): summary, distributions, agreement of diameters, examples, all images.
/// An example is shown where `pick_examples` puts its id; others are left out, missing ones are skipped.
/// @throws Error kInvalidArgument when an example's image and masks differ in size.
std::string evaluation_html(const metrics::Evaluation& evaluation, std::span<const Example> examples,
                            const EvaluationPage& page);

/// Writes evaluation.csv (`image_table`), evaluation.json and report.html into `dir`, each atomically; the folder is
/// made when it is not there. @throws Error kIo; as `evaluation_html`.
void write_evaluation(const std::filesystem::path& dir, const metrics::Evaluation& evaluation,
                      std::span<const Example> examples, const EvaluationPage& page);

}  // namespace cmunet::report
