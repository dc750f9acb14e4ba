// SPDX-License-Identifier: Apache-2.0
// `cmunet demo`: the whole job on synthetic angiograms: phantoms, store, pre-training, fine-tuning from scratch and
// from the pre-trained weights, evaluation on held-out images, prediction, and one page that shows it all. Each step is
// a cmunet command; the page lists them, so that they can be repeated on real images.

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <memory>
#include <vector>

#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/child.h"
#include "cmunet/codec/codec.h"
#include "cmunet/report/html.h"
#include "cmunet/report/overlay.h"
#include "cmunet/report/training_report.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

// Small enough that two cores finish in a few minutes; the network still learns what a vessel is.
constexpr const char* kConfig = R"(# Settings of `cmunet demo`.
[prepare]
size = 128

[model]
base_width = 8

[pretrain]
steps = 150
batch_size = 16
lr = 1e-3
warmup_epochs = 1.0
picture_every_epochs = 10

[pretrain.views]
crop_size = 112
view_size = 96
max_shift = 15

[pretrain.cm_unet]
projector_hidden = 128
embedding = 64

[finetune]
steps = 240
batch_size = 8
lr = 3e-3
schedule = "cosine"
warmup_steps = 20
validate_every_steps = 40
)";

class Demo {
 public:
  Demo(fs::path out, const CommonOptions& common) : out_(std::move(out)), common_(common) {}

  Json run() {
    prepare_output_folder(out_, common_.force);
    write_file_atomic(out_ / "demo.toml", kConfig);
    const std::string config = path("demo.toml");
    command({"phantom", "--out", path("phantoms"), "--count", "120", "--size", "128", "--field-mm", "100"});
    command({"prepare", "--images", path("phantoms/images"), "--masks", path("phantoms/masks"), "--split",
             "train=12,val=12,test=24", "--config", config, "--out", path("store")});
    command(
        {"pretrain", "--store", path("store"), "--method", "cm_unet", "--config", config, "--out", path("pretrained")});
    for (const auto& [name, init] : {std::pair{"scratch", ""}, {"cm_unet", "pretrained"}}) {
      std::vector<std::string> words{"finetune", "--store", path("store"), "--config", config, "--out", path(name)};
      if (*init != '\0') words.insert(words.end(), {"--init", path(init)});
      command(words);
      command({"evaluate", "--model", path(name), "--store", path("store"), "--split", "test", "--out",
               path(concat("evaluation-", name))});
    }
    predict_examples();
    return write_page();
  }

 private:
  std::string path(const std::string& name) const { return (out_ / name).string(); }

  // Runs this program with the given words; its standard output goes to demo.log.
  void command(std::vector<std::string> words) {
    const bool has_network = words.front() != "phantom" && words.front() != "prepare";
    const std::vector<std::string> device = has_network ? device_words(common_) : std::vector<std::string>();
    for (const auto& rest : {common_words(common_), device}) words.insert(words.end(), rest.begin(), rest.end());
    if (common_.force) words.emplace_back("--force");
    const std::string line = command_line(words);
    commands_.push_back(line);
    log_info("$ ", line);
    const int status = run_child(words, out_ / "demo.log");
    CMUNET_CHECK(status == 0, code_of_status(status), "[demo] this step ended with ", status_text(status), ": ", line);
  }

  // The test images with the middle one's neighbours would do; the first three by name are as good.
  void predict_examples() {
    std::vector<std::string> words{"predict", "--model", path("cm_unet"), "--out", path("predictions"), "--overlay"};
    const Json manifest = load_json(out_ / "store" / "manifest.json");
    for (const Json& row : manifest["images"]) {
      if (row["split"] != "test" || examples_.size() == 3) continue;
      examples_.push_back(row["source"].get<std::string>());
      words.push_back(examples_.back().string());
    }
    command(words);
  }

  static report::Table result_table(const std::vector<std::pair<std::string, Json>>& results) {
    report::Table table({{"start", 0},
                         {"Dice", 3},
                         {"95 % low", 3},
                         {"95 % high", 3},
                         {"clDice", 3},
                         {"modified Hausdorff (px)", 2},
                         {"diameter difference (px)", 2},
                         {"images", 0}});
    const auto number = [](const Json& v) { return v.is_number() ? v.get<double>() : std::nan(""); };
    for (const auto& [name, json] : results) {
      const Json& m = json["metrics"];
      table.add_row({name, number(m["dice"]["mean"]), number(m["dice"]["ci95"][0]), number(m["dice"]["ci95"][1]),
                     number(m["cl_dice"]["mean"]), number(m["modified_hausdorff_px"]["mean"]),
                     number(m["diameter_difference_px"]["mean"]), m["dice"]["n"].get<std::int64_t>()});
    }
    return table;
  }

  void add_pictures(report::Page& page) const {
    page.heading("Segmented test images");
    page.paragraph(
        "Blue: found. Red: found where there is none. Yellow: missed. The truth is exact, since the images "
        "were computed.");
    for (const fs::path& image : examples_) {
      const auto grey = codec::read_image(image).grey;
      const auto to_mask = [](const image::Image<std::uint16_t>& labels) {
        image::Mask mask(labels.height(), labels.width());
        std::transform(labels.begin(), labels.end(), mask.begin(),
                       [](std::uint16_t v) -> std::uint8_t { return v != 0; });
        return mask;
      };
      const auto pred = to_mask(codec::read_labels(out_ / "predictions" / (image.stem().string() + ".png")));
      const auto target = to_mask(codec::read_labels(out_ / "phantoms/masks" / image.filename()));
      page.picture(report::to_rgb(report::to_grey8(grey)), concat("test image ", image.stem().string()));
      page.picture(report::overlay_errors(grey, pred, target), "against the truth");
    }
    std::vector<fs::path> pictures;
    for (const auto& entry : fs::directory_iterator(out_ / "pretrained/pictures")) pictures.push_back(entry.path());
    if (pictures.empty()) return;
    page.heading("What pre-training learnt to rebuild");
    const image::ImageF strip = codec::read_image(*std::max_element(pictures.begin(), pictures.end())).grey;
    page.picture(report::to_rgb(report::to_grey8(strip)), "rows: masked input, reconstruction, original");
  }

  Json write_page() const {
    const std::vector<std::pair<std::string, Json>> results{
        {"from scratch", load_json(out_ / "evaluation-scratch/evaluation.json")},
        {"from CM-UNet pre-training", load_json(out_ / "evaluation-cm_unet/evaluation.json")}};
    report::Page page({"cmunet demo", "Coronary segmentation learnt from 12 labelled synthetic angiograms", ""});
    page.paragraph(concat(kDisclaimer,
                          " The images are synthetic: these numbers say that the program works, not how "
                          "well it does on patients. One seed, tiny network, a few hundred steps."));
    page.table(result_table(results));
    add_pictures(page);
    page.heading("Training");
    for (const char* run : {"pretrained", "cm_unet"}) {
      const std::vector<Json> rows = load_json_lines(out_ / run / "metrics.jsonl");
      page.subheading(run);
      for (const report::LineChart& chart : report::training_charts(rows)) page.svg(report::line_chart(chart));
    }
    page.heading("The commands");
    page.paragraph("The same commands work on your own images; start at prepare.");
    for (const std::string& line : commands_) page.paragraph(line);
    write_file_atomic(out_ / "report.html", page.str());
    Json document = {{"disclaimer", kDisclaimer}, {"report", path("report.html")}, {"commands", commands_}};
    document["test_dice"] = {{"scratch", results[0].second["metrics"]["dice"]["mean"]},
                             {"cm_unet", results[1].second["metrics"]["dice"]["mean"]}};
    return document;
  }

  fs::path out_;
  const CommonOptions& common_;
  std::vector<std::string> commands_;
  std::vector<fs::path> examples_;
};

void run(const std::string& out, const CommonOptions& common) {
  find_program(kTrainProgram);  // phantoms and store would be made before its absence is noticed
  if (common.dry_run) {
    print_result(common, {{"out", out}}, concat("would train and evaluate on 120 synthetic angiograms in ", out));
    return;
  }
  const Json document = Demo(out, common).run();
  print_result(common, document, concat("report: ", document["report"].get<std::string>(), "\n", kDisclaimer));
}

}  // namespace

void add_demo(CLI::App& app, const CommonOptions& common) {
  const auto out = std::make_shared<std::string>("runs/demo");
  app.add_option("--out", *out, "folder for everything it makes")->capture_default_str();
  app.callback([out, &common] { run(*out, common); });
}

}  // namespace cmunet::cli
