// SPDX-License-Identifier: Apache-2.0
// The configurations that come along can be used, and the reference of keys is complete.
#include <gtest/gtest.h>

#include <filesystem>

#include "cmunet/base/config.h"
#include "cmunet/base/file.h"
#include "cmunet/train/finetune.h"
#include "cmunet/train/pretrain.h"

namespace cmunet::train {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = CMUNET_SOURCE_DIR;

// Options of both training commands, as a file and further assignments set them.
struct Options {
  explicit Options(const Json& config) {
    describe(pretrain, pretrain_fields);
    describe(finetune, finetune_fields);
    const std::vector<std::string_view> others{"prepare", "benchmark", "tune"};
    std::vector<std::string_view> for_pretrain = others, for_finetune = others;
    for_pretrain.emplace_back("finetune");
    for_finetune.emplace_back("pretrain");
    pretrain_fields.apply(config, "file", for_pretrain);
    finetune_fields.apply(config, "file", for_finetune);
  }

  void set(const Json& assignments, Fields& fields) {
    for (const Json& assignment : assignments) fields.apply_set(assignment.get<std::string>());
  }

  void check() const {
    pretrain.check();
    finetune.check();
    EXPECT_NO_THROW(ssl::make_method(small(), 1));
  }

  // As it is, but narrow: methods check their own options when they are made.
  ssl::MethodOptions small() const {
    ssl::MethodOptions method = pretrain.method;
    method.unet.base_width = 1;
    method.cm_unet.projector_hidden = 2;
    return method;
  }

  PretrainOptions pretrain;
  FinetuneOptions finetune;
  Fields pretrain_fields, finetune_fields;
};

TEST(ConfigFiles, AllTheirSettingsExistAndAreValid) {
  int files = 0;
  for (const auto& entry : fs::directory_iterator(kSource / "configs")) {
    SCOPED_TRACE(entry.path().filename().string());
    ++files;
    const Json config = load_toml(entry.path());
    Options(config).check();
    const Json benchmark = config.value("benchmark", Json::object()), tune = config.value("tune", Json::object());
    const Json variants = benchmark.value("variants", Json::object());
    const Json regimes = benchmark.value("regimes", Json::object());
    for (const auto& [name, assignments] : variants.items()) {
      SCOPED_TRACE(name);
      Options options(config);
      options.set(assignments, options.pretrain_fields);
      options.check();
    }
    for (const auto& [name, regime] : regimes.items()) {
      SCOPED_TRACE(name);
      Options options(config);
      options.set(regime.is_object() ? regime["set"] : regime, options.finetune_fields);
      options.check();
    }
    for (const auto& [key, values] : tune.items()) {
      if (key == "folds") continue;
      for (const Json& value : values) {
        Options options(config);
        options.set({concat("finetune.", key, "=", value.dump())}, options.finetune_fields);
        options.check();
      }
    }
  }
  EXPECT_GE(files, 4);
}

TEST(ConfigFiles, ThePapersIsThePapers) {
  const Options options(load_toml(kSource / "configs" / "paper.toml"));
  EXPECT_EQ(options.pretrain.method.unet.base_width, 64);
  EXPECT_EQ(options.pretrain.epochs, 300);
  EXPECT_EQ(options.pretrain.batch_size, 256);
  EXPECT_EQ(options.pretrain.method.cm_unet.views.view_size, 224);
  EXPECT_EQ(options.pretrain.method.cm_unet.views.crop_size, 256);
  EXPECT_EQ(options.finetune.epochs, 256);
  EXPECT_EQ(options.finetune.batch_size, 32);
}

TEST(ConfigurationReference, HasEveryKeyWithItsDefaultAndMeaning) {
  const std::string page = read_file(kSource / "docs" / "reference" / "configuration.md");
  const Options defaults(Json::object());
  for (const Fields* fields : {&defaults.pretrain_fields, &defaults.finetune_fields}) {
    for (const Fields::Field& field : fields->all()) {
      const std::string row = concat("| `", field.name, "` | `", field.get().dump(), "` | ", field.help, " |");
      EXPECT_NE(page.find(row), std::string::npos) << "docs/reference/configuration.md lacks this line:\n" << row;
    }
  }
}

}  // namespace
}  // namespace cmunet::train
