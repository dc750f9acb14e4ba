// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <numeric>

#include "cmunet/base/log.h"
#include "cmunet/dataset/import.h"
#include "cmunet/dataset/run_calibration.h"
#include "cmunet/dicom/xa.h"
#include "cmunet/vessel/opacification.h"

namespace cmunet::dataset {
namespace {

namespace fs = std::filesystem;

// Short names in the order of appearance: they say which images belong together and nothing about whom they show.
class Pseudonyms {
 public:
  explicit Pseudonyms(char prefix) : prefix_(prefix) {}
  std::string of(const std::string& identifier) {
    const auto [at, is_new] = numbers_.emplace(identifier, numbers_.size() + 1);
    return concat(prefix_, at->second);
  }

 private:
  char prefix_;
  std::map<std::string, std::size_t> numbers_;
};

// Who the run shows, for grouping only; a run that names nobody is grouped by its study.
std::string patient_key(const dicom::XaRun& run) {
  const dicom::Patient& patient = run.patient();
  if (!patient.id.empty()) return "id " + patient.id;
  if (!patient.name.empty()) return "name " + patient.name + " " + patient.birth_date;
  return "study " + run.header().source.study_uid;
}

// None where the header's spacing may be the detector's; the shape of the pixels is known all the same.
std::optional<image::Spacing> spacing_in_patient(const dicom::XaRun& run, int frame) {
  const vessel::Calibration c = calibration_of(run.geometry(frame), run.header().pixel_aspect_ratio);
  return c.mm_per_px ? std::optional(image::Spacing{*c.mm_per_px * c.aspect, *c.mm_per_px}) : std::nullopt;
}

std::vector<int> evenly_spaced(const std::vector<int>& from, int count) {
  const int n = static_cast<int>(from.size());
  if (n <= count) return from;
  std::vector<int> chosen;
  for (int i = 0; i < count; ++i) chosen.push_back(from[static_cast<std::size_t>((2 * i + 1) * n / (2 * count))]);
  return chosen;
}

}  // namespace

std::vector<int> choose_frames(const vessel::Opacification& opacification, int count) {
  const int frames = static_cast<int>(opacification.smoothed.size());
  std::vector<int> filled;
  const auto best = static_cast<std::size_t>(opacification.best_frame);
  for (int i = 0; i < frames; ++i) {
    const bool is_filled = opacification.smoothed[static_cast<std::size_t>(i)] >= 0.5 * opacification.smoothed[best];
    if (opacification.fills ? is_filled : 3 * i >= frames) filled.push_back(i);
  }
  std::vector<int> chosen = evenly_spaced(filled, count);
  if (opacification.fills && std::ranges::find(chosen, opacification.best_frame) == chosen.end()) {
    *std::ranges::min_element(chosen, {}, [&](int i) { return std::abs(i - opacification.best_frame); }) =
        opacification.best_frame;
  }
  return chosen;
}

std::vector<Item> import_dicom(const fs::path& folder_or_dicomdir, int frames_per_run, std::optional<Split> split) {
  CMUNET_CHECK(frames_per_run > 0, ErrorCode::kInvalidArgument, "[import] ", frames_per_run, " frames of each run");
  Pseudonyms patients('p'), studies('s'), series('r'), instances('i');
  std::vector<Item> items;
  int skipped = 0, burned_in = 0, other = 0;
  for (const fs::path& file : dicom::find_runs(folder_or_dicomdir)) {
    std::optional<dicom::XaRun> run;
    try {
      run.emplace(file);
    } catch (const Error& error) {
      ++skipped;
      log_warning("[import] left out: ", error.what());
      continue;
    }
    const dicom::XaHeader& header = run->header();
    burned_in += header.burned_in_annotation ? 1 : 0;
    other += dicom::is_xray(header) ? 0 : 1;
    std::vector<int> frames(1, 0);
    if (header.frames > frames_per_run && std::min(header.height, header.width) >= 32) {
      frames = choose_frames(vessel::measure_opacification(
                                 header.frames, [&](int i) { return run->frame(i); }, run->field(), header.is_log),
                             frames_per_run);
    } else {
      frames.resize(static_cast<std::size_t>(std::min(header.frames, frames_per_run)));
      std::iota(frames.begin(), frames.end(), 0);
    }
    const std::string patient = patients.of(patient_key(*run));
    const std::string name = concat(patient, "_", studies.of(header.source.study_uid), "_",
                                    series.of(header.source.series_uid), "_", instances.of(file.string()));
    for (const int frame : frames) {
      Item& item = items.emplace_back();
      item.id = concat(name, "_f", frame);
      item.group = patient;
      item.image = file;
      item.frame = frame;
      item.source = item.id;
      item.split = split;
      item.spacing_mm = spacing_in_patient(*run, frame);
    }
  }
  CMUNET_CHECK(!items.empty(), ErrorCode::kNotFound, "[import] ", folder_or_dicomdir.string(),
               " holds no X-ray run that can be read (", skipped, " were left out)");
  if (burned_in > 0)
    log_warning("[import] ", burned_in, " runs say that text is burned into their pixels: look at them");
  if (other > 0) log_warning("[import] ", other, " runs are no X-ray angiograms by their modality: look at them");
  return items;
}

}  // namespace cmunet::dataset
