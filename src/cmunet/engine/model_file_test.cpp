// SPDX-License-Identifier: Apache-2.0
// Reading a model's weights, whole and half.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "cmunet/base/error.h"
#include "cmunet/base/random.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/engine/half_precision.h"
#include "cmunet/engine/unet_weights.h"

namespace cmunet::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kWidth = 2;

// A UNet's tensors as the reference code names them, with random values.
class Tensors {
 public:
  Tensors() {
    std::size_t in = 1;
    for (std::size_t l = 0; l <= kLevels; ++l) {
      const std::size_t out = kWidth << l;
      add_block(l < kLevels ? concat("down_conv", l + 1, ".double_conv.double_conv.") : "double_conv.double_conv.", in,
                out);
      in = out;
    }
    for (std::size_t l = 0; l < kLevels; ++l) {
      const std::size_t out = kWidth << l;
      const std::string prefix = concat("up_conv", l + 1, ".");
      add(prefix + "up_sample.weight", {2 * out, out, 2, 2});
      add(prefix + "up_sample.bias", {out});
      add_block(prefix + "double_conv.double_conv.", 2 * out, out);
    }
    add("conv_last.weight", {2, kWidth, 1, 1});
    add("conv_last.bias", {2});
  }

  std::map<std::string, std::pair<std::vector<std::int64_t>, std::vector<float>>> all;

  SafetensorsFile write(const std::filesystem::path& path) const {
    std::vector<TensorRef> refs;
    for (const auto& [name, tensor] : all) {
      refs.push_back({name, DType::kF32, tensor.first, std::as_bytes(std::span(tensor.second))});
    }
    write_safetensors(path, refs, {});
    return SafetensorsFile::open(path);
  }

 private:
  void add(const std::string& name, const std::vector<std::size_t>& shape) {
    std::size_t count = 1;
    std::vector<std::int64_t> dims;
    for (const std::size_t side : shape) {
      count *= side;
      dims.push_back(static_cast<std::int64_t>(side));
    }
    std::vector<float> values(count);
    const bool positive = name.ends_with("running_var");
    for (float& v : values) v = static_cast<float>(static_cast<int>(rng_.uniform(positive ? 64 : -512, 512))) / 256;
    all[name] = {dims, values};
  }

  void add_block(const std::string& prefix, std::size_t in, std::size_t out) {
    for (const int index : {0, 3}) {
      add(concat(prefix, index, ".weight"), {out, index == 0 ? in : out, 3, 3});
      add(concat(prefix, index, ".bias"), {out});
      for (const char* name : {".weight", ".bias", ".running_mean", ".running_var"}) {
        add(concat(prefix, index + 1, name), {out});
      }
    }
  }

  Rng rng_{7};
};

TEST(UNetWeights, BatchNormIsFoldedIntoTheConvolutionBeforeIt) {
  const ScratchFolder folder;
  const Tensors tensors;
  const UNetWeights unet = read_unet_weights(tensors.write(folder.path() / "m.safetensors"));
  EXPECT_EQ(unet.base_width, kWidth);
  const std::string prefix = "up_conv2.double_conv.double_conv.";
  const auto value = [&](const std::string& name, std::size_t i) { return double{tensors.all.at(name).second[i]}; };
  const Convolution& folded = unet.decoder[1][1];
  ASSERT_EQ(folded.in, 4U);
  for (std::size_t o = 0; o < folded.out; ++o) {
    const double scale = value(prefix + "4.weight", o) / std::sqrt(value(prefix + "4.running_var", o) + 1e-5);
    for (std::size_t i = o * 36; i < (o + 1) * 36; ++i) {
      EXPECT_NEAR(folded.weights[i], scale * value(prefix + "3.weight", i), 1e-5);
    }
    EXPECT_NEAR(
        folded.bias[o],
        scale * (value(prefix + "3.bias", o) - value(prefix + "4.running_mean", o)) + value(prefix + "4.bias", o),
        1e-5);
  }
}

TEST(HalfPrecision, EveryFiniteNumberSurvivesTheRoundTripAndRoundingIsToEven) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    if (((half >> 10) & 31) == 31) continue;
    ASSERT_EQ(to_half(from_half(half)), half);
  }
  EXPECT_EQ(to_half(1 + 1.0F / 2048), to_half(1));                // halfway, to even
  EXPECT_EQ(to_half(1 + 3.0F / 2048), to_half(1 + 2.0F / 1024));  // halfway, to even
  EXPECT_EQ(from_half(to_half(2047.9F)), 2048);                   // carries into the exponent
  EXPECT_EQ(from_half(to_half(65519)), 65504);
  EXPECT_EQ(from_half(0x0001), std::exp2(-24.0F));
  EXPECT_THROW(to_half(65520), Error);
  EXPECT_THROW(to_half(NAN), Error);
}

// The values are multiples of 2^-8 below 4: nothing is rounded.
TEST(UNetWeights, HalfPrecisionIsReadExactly) {
  const ScratchFolder folder;
  const SafetensorsFile file = Tensors().write(folder.path() / "a.safetensors");
  write_half_precision(file, folder.path() / "b.safetensors");
  EXPECT_LT(fs::file_size(folder.path() / "b.safetensors"), fs::file_size(folder.path() / "a.safetensors"));
  const UNetWeights single = read_unet_weights(file);
  const UNetWeights half = read_unet_weights(SafetensorsFile::open(folder.path() / "b.safetensors"));
  EXPECT_EQ(single.last.weights, half.last.weights);
  EXPECT_EQ(single.up[3].weights, half.up[3].weights);
  EXPECT_EQ(single.encoder[4][0].weights, half.encoder[4][0].weights);
  EXPECT_EQ(single.encoder[4][0].bias, half.encoder[4][0].bias);
}

TEST(UNetWeights, MissingAndMisshapenTensorsAreRefusedByName) {
  const ScratchFolder folder;
  Tensors tensors;
  tensors.all.erase("up_conv3.up_sample.bias");
  try {
    read_unet_weights(tensors.write(folder.path() / "missing.safetensors"));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kCorrupt);
    EXPECT_NE(std::string(e.what()).find("up_conv3.up_sample.bias"), std::string::npos) << e.what();
  }
  Tensors wide;
  wide.all["conv_last.bias"] = {{3}, {1, 2, 3}};
  EXPECT_THROW(read_unet_weights(wide.write(folder.path() / "wide.safetensors")), Error);
  Tensors classes;
  classes.all["conv_last.weight"] = {{3, 2, 1, 1}, {1, 2, 3, 4, 5, 6}};
  try {
    read_unet_weights(classes.write(folder.path() / "classes.safetensors"));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kUnsupported);
  }
}

}  // namespace
}  // namespace cmunet::engine
