// SPDX-License-Identifier: Apache-2.0
// What the exported file computes: its graph is worked through node by node, as ONNX defines the operators, and
// compared with the reference engine.
#include "cmunet/engine/onnx_export.h"

#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <numeric>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/random.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/engine/native_engine.h"

namespace cmunet::engine {
namespace {

using Dims = std::vector<std::size_t>;

struct Value {
  Dims dims;  // [N, C, H, W] but for constants and the last
  std::vector<double> data;
  explicit Value(Dims sides = {})
      : dims(std::move(sides)), data(std::accumulate(dims.begin(), dims.end(), std::size_t{1}, std::multiplies<>())) {}
  double& at(std::size_t n, std::size_t c, std::size_t y, std::size_t x) { return data[index(n, c, y, x)]; }
  double at(std::size_t n, std::size_t c, std::size_t y, std::size_t x) const { return data[index(n, c, y, x)]; }
  std::size_t index(std::size_t n, std::size_t c, std::size_t y, std::size_t x) const {
    return ((n * dims.at(1) + c) * dims.at(2) + y) * dims.at(3) + x;
  }
};

// Opset 13, plain loops in double: the operators and attributes that the export writes, and no others.
class Interpreter {
 public:
  explicit Interpreter(const onnx::GraphProto& graph) : graph_(graph) {
    for (const onnx::TensorProto& tensor : graph.initializer()) values_.emplace(tensor.name(), read(tensor));
  }

  Value run(const Value& input) {
    values_.insert_or_assign(graph_.input(0).name(), input);
    for (const onnx::NodeProto& node : graph_.node()) {
      EXPECT_EQ(node.output_size(), 1);
      values_.insert_or_assign(node.output(0), compute(node));
    }
    return values_.at(graph_.output(0).name());
  }

 private:
  static Value read(const onnx::TensorProto& tensor) {
    Value value(Dims(tensor.dims().begin(), tensor.dims().end()));
    if (tensor.data_type() == onnx::TensorProto::INT64) {
      std::copy(tensor.int64_data().begin(), tensor.int64_data().end(), value.data.begin());
      return value;
    }
    std::vector<float> floats(value.data.size());
    CMUNET_CHECK(tensor.raw_data().size() == floats.size() * sizeof(float), ErrorCode::kCorrupt, tensor.name());
    std::memcpy(floats.data(), tensor.raw_data().data(), tensor.raw_data().size());
    std::copy(floats.begin(), floats.end(), value.data.begin());
    return value;
  }

  using Attributes = std::map<std::string, std::vector<std::size_t>>;

  Value compute(const onnx::NodeProto& node) const {
    std::vector<Value> in;
    for (const std::string& name : node.input()) in.push_back(values_.at(name));
    Attributes attributes;
    for (const onnx::AttributeProto& a : node.attribute()) {
      if (a.type() == onnx::AttributeProto::INT) {
        attributes[a.name()] = {static_cast<std::size_t>(a.i())};
      } else {
        attributes[a.name()] = {a.ints().begin(), a.ints().end()};
      }
    }
    Value result = compute(node.op_type(), in, attributes);
    CMUNET_CHECK(attributes.empty(), ErrorCode::kUnsupported, node.op_type(), " with ", attributes.begin()->first);
    return result;
  }

  // Of an attribute that is there, or its default; what is left over in the end is unknown.
  static std::vector<std::size_t> take(Attributes& attributes, const char* name,
                                       const std::vector<std::size_t>& otherwise) {
    const auto node = attributes.extract(name);
    return node.empty() ? otherwise : node.mapped();
  }

  static Value compute(const std::string& operation, const std::vector<Value>& in, Attributes& attributes) {
    if (operation == "Conv") return convolution(in.at(0), in.at(1), in.at(2), attributes);
    if (operation == "ConvTranspose") return transposed_convolution(in.at(0), in.at(1), in.at(2), attributes);
    if (operation == "MaxPool") return max_pool(in.at(0), attributes);
    if (operation == "Concat") return concatenated(in.at(0), in.at(1), attributes);
    if (operation == "Softmax") return softmax(in.at(0), attributes);
    if (operation == "Gather") return gathered(in.at(0), in.at(1), attributes);
    if (operation == "ReduceMean") return mean(in.at(0), attributes);
    if (operation == "Relu") return each(in.at(0), [](double v) { return std::max(v, 0.0); });
    if (operation == "Sqrt") return each(in.at(0), [](double v) { return std::sqrt(v); });
    if (operation == "Add") return pairwise(in.at(0), in.at(1), std::plus<>());
    if (operation == "Sub") return pairwise(in.at(0), in.at(1), std::minus<>());
    if (operation == "Mul") return pairwise(in.at(0), in.at(1), std::multiplies<>());
    if (operation == "Div") return pairwise(in.at(0), in.at(1), std::divides<>());
    throw Error(ErrorCode::kUnsupported, operation);
  }

  template <typename Function>
  static Value each(Value value, const Function& function) {
    std::ranges::transform(value.data, value.data.begin(), function);
    return value;
  }

  // `b` is [1] or repeated along every side where it is 1.
  template <typename Function>
  static Value pairwise(const Value& a, const Value& b, const Function& function) {
    Value all = b;
    if (b.dims.size() == 1) all.dims = {1, 1, 1, b.dims[0]};
    Value out(a.dims);
    for_each_place(a.dims, [&](std::size_t n, std::size_t c, std::size_t y, std::size_t x) {
      const std::array place{n, c, y, x};
      std::array<std::size_t, 4> of_b{};
      for (std::size_t d = 0; d < 4; ++d) {
        CMUNET_CHECK(all.dims[d] == 1 || all.dims[d] == a.dims[d], ErrorCode::kUnsupported, "sides of both");
        of_b[d] = all.dims[d] == 1 ? 0 : place[d];
      }
      out.at(n, c, y, x) = function(a.at(n, c, y, x), all.at(of_b[0], of_b[1], of_b[2], of_b[3]));
    });
    return out;
  }

  template <typename Function>
  static void for_each_place(const Dims& dims, const Function& function) {
    for (std::size_t n = 0; n < dims.at(0); ++n) {
      for (std::size_t c = 0; c < dims.at(1); ++c) {
        for (std::size_t y = 0; y < dims.at(2); ++y) {
          for (std::size_t x = 0; x < dims.at(3); ++x) function(n, c, y, x);
        }
      }
    }
  }

  // Weights [out, in, height, width]; pads are top, left, bottom, right.
  static Value convolution(const Value& x, const Value& w, const Value& bias, Attributes& attributes) {
    EXPECT_EQ(take(attributes, "kernel_shape", {}), (Dims{w.dims.at(2), w.dims.at(3)}));
    const auto pads = take(attributes, "pads", {0, 0, 0, 0});
    Value out({x.dims[0], w.dims[0], x.dims[2] + pads.at(0) + pads.at(2) - w.dims[2] + 1,
               x.dims[3] + pads.at(1) + pads.at(3) - w.dims[3] + 1});
    for_each_place(out.dims, [&](std::size_t n, std::size_t o, std::size_t y, std::size_t px) {
      double sum = bias.data.at(o);
      for_each_place(
          {1, w.dims[1], w.dims[2], w.dims[3]}, [&](std::size_t, std::size_t i, std::size_t a, std::size_t b) {
            const std::size_t yy = y + a - pads[0], xx = px + b - pads[1];  // wraps below zero, then fails the test
            if (yy < x.dims[2] && xx < x.dims[3]) sum += x.at(n, i, yy, xx) * w.at(o, i, a, b);
          });
      out.at(n, o, y, px) = sum;
    });
    return out;
  }

  // Weights [in, out, height, width].
  static Value transposed_convolution(const Value& x, const Value& w, const Value& bias, Attributes& attributes) {
    EXPECT_EQ(take(attributes, "kernel_shape", {}), (Dims{w.dims.at(2), w.dims.at(3)}));
    const auto strides = take(attributes, "strides", {1, 1});
    Value out({x.dims[0], w.dims[1], (x.dims[2] - 1) * strides.at(0) + w.dims[2],
               (x.dims[3] - 1) * strides.at(1) + w.dims[3]});
    for_each_place(out.dims, [&](std::size_t n, std::size_t o, std::size_t y, std::size_t px) {
      out.at(n, o, y, px) = bias.data.at(o);
    });
    for_each_place(x.dims, [&](std::size_t n, std::size_t i, std::size_t y, std::size_t px) {
      for_each_place({1, w.dims[1], w.dims[2], w.dims[3]},
                     [&](std::size_t, std::size_t o, std::size_t a, std::size_t b) {
                       out.at(n, o, y * strides[0] + a, px * strides[1] + b) += x.at(n, i, y, px) * w.at(i, o, a, b);
                     });
    });
    return out;
  }

  static Value max_pool(const Value& x, Attributes& attributes) {
    const auto sides = take(attributes, "kernel_shape", {}), strides = take(attributes, "strides", {1, 1});
    Value out({x.dims[0], x.dims[1], (x.dims[2] - sides.at(0)) / strides.at(0) + 1,
               (x.dims[3] - sides.at(1)) / strides.at(1) + 1});
    for_each_place(out.dims, [&](std::size_t n, std::size_t c, std::size_t y, std::size_t px) {
      double largest = x.at(n, c, y * strides[0], px * strides[1]);
      for_each_place({1, 1, sides[0], sides[1]}, [&](std::size_t, std::size_t, std::size_t a, std::size_t b) {
        largest = std::max(largest, x.at(n, c, y * strides[0] + a, px * strides[1] + b));
      });
      out.at(n, c, y, px) = largest;
    });
    return out;
  }

  static Value concatenated(const Value& a, const Value& b, Attributes& attributes) {
    EXPECT_EQ(take(attributes, "axis", {}), Dims{1});
    EXPECT_EQ((Dims{a.dims[0], a.dims[2], a.dims[3]}), (Dims{b.dims[0], b.dims[2], b.dims[3]}));
    Value out({a.dims[0], a.dims[1] + b.dims[1], a.dims[2], a.dims[3]});
    for_each_place(out.dims, [&](std::size_t n, std::size_t c, std::size_t y, std::size_t x) {
      out.at(n, c, y, x) = c < a.dims[1] ? a.at(n, c, y, x) : b.at(n, c - a.dims[1], y, x);
    });
    return out;
  }

  static Value softmax(const Value& in, Attributes& attributes) {
    EXPECT_EQ(take(attributes, "axis", {}), Dims{1});
    Value out(in.dims);
    for_each_place(in.dims, [&](std::size_t n, std::size_t c, std::size_t y, std::size_t x) {
      double sum = 0;
      for (std::size_t other = 0; other < in.dims[1]; ++other) {
        sum += std::exp(in.at(n, other, y, x) - in.at(n, c, y, x));
      }
      out.at(n, c, y, x) = 1 / sum;
    });
    return out;
  }

  // One channel: an index without sides takes its side away.
  static Value gathered(const Value& in, const Value& which, Attributes& attributes) {
    EXPECT_EQ(take(attributes, "axis", {0}), Dims{1});
    EXPECT_EQ(which.dims, Dims{});
    Value out({in.dims[0], in.dims[2], in.dims[3]});
    std::size_t i = 0;
    for_each_place({in.dims[0], 1, in.dims[2], in.dims[3]},
                   [&](std::size_t n, std::size_t, std::size_t y, std::size_t x) {
                     out.data[i++] = in.at(n, static_cast<std::size_t>(which.data[0]), y, x);
                   });
    return out;
  }

  // Sides that are averaged stay, with 1.
  static Value mean(const Value& in, Attributes& attributes) {
    Dims dims = in.dims;
    for (const std::size_t axis : take(attributes, "axes", {0, 1, 2, 3})) dims.at(axis) = 1;
    Value out(dims);
    const double count = static_cast<double>(in.data.size()) / static_cast<double>(out.data.size());
    for_each_place(in.dims, [&](std::size_t n, std::size_t c, std::size_t y, std::size_t x) {
      out.at(dims[0] == 1 ? 0 : n, dims[1] == 1 ? 0 : c, dims[2] == 1 ? 0 : y, dims[3] == 1 ? 0 : x) +=
          in.at(n, c, y, x) / count;
    });
    return out;
  }

  const onnx::GraphProto& graph_;
  std::map<std::string, Value> values_;
};

constexpr int kHeight = 32, kWidth = 48;

// Grey values as of an 8-bit picture, another mean and contrast in each; the last is constant.
std::vector<image::ImageF> grey_pictures() {
  Rng rng(3);
  std::vector<image::ImageF> pictures(3, image::ImageF(kHeight, kWidth, 90));
  for (float& v : pictures[0]) v = static_cast<float>(rng.below(256));
  for (float& v : pictures[1]) v = static_cast<float>(150 + rng.below(40));
  return pictures;
}

image::ImageF normalised(image::ImageF grey, double mean, double sd) {
  for (float& v : grey) v = sd == 0 ? 0 : static_cast<float>((double{v} - mean) / sd);
  return grey;
}

image::ImageF z_scored(const image::ImageF& grey) {
  double sum = 0, squares = 0;
  for (const float v : grey) sum += double{v};
  const double mean = sum / static_cast<double>(grey.size());
  for (const float v : grey) squares += (double{v} - mean) * (double{v} - mean);
  return normalised(grey, mean, std::sqrt(squares / static_cast<double>(grey.size())));
}

class ExportOnnx : public testing::Test {
 protected:
  onnx::ModelProto exported(const preprocess::Options& preprocessing) const {
    export_onnx(file, unet, preprocessing);
    onnx::ModelProto model;
    EXPECT_TRUE(model.ParseFromString(read_file(file)));
    return model;
  }

  // The file's output for grey pictures is the reference engine's for `prepared` ones.
  void expect_equal(const preprocess::Options& preprocessing, const std::vector<image::ImageF>& grey,
                    const std::vector<image::ImageF>& prepared) const {
    const onnx::ModelProto model = exported(preprocessing);
    ASSERT_EQ(model.opset_import(0).version(), 13);  // whose definitions the interpreter follows
    Value input({grey.size(), 1, kHeight, kWidth});
    auto end = input.data.begin();
    for (const image::ImageF& picture : grey) end = std::copy(picture.begin(), picture.end(), end);
    const Value output = Interpreter(model.graph()).run(input);
    ASSERT_EQ(output.dims, (Dims{grey.size(), kHeight, kWidth}));
    const std::vector<image::ImageF> expected = make_reference_engine(unet)->vessel_probability(prepared);
    double lowest = 1, highest = 0, difference = 0;
    for (std::size_t i = 0; i < output.data.size(); ++i) {
      const double p = double{expected[i / expected[0].size()].data()[i % expected[0].size()]};
      lowest = std::min(lowest, p), highest = std::max(highest, p);
      if (!(std::abs(p - output.data[i]) <= difference)) difference = std::abs(p - output.data[i]);  // NaN stays
    }
    EXPECT_LT(difference, 1e-4);
    EXPECT_GT(highest - lowest, 0.3);  // else there was nothing to compare
  }

  const ScratchFolder folder;
  const std::filesystem::path file = folder / "m.onnx";
  const UNetWeights unet = random_unet_weights(3, 1);
};

TEST_F(ExportOnnx, ComputesWhatTheReferenceEngineDoes) {
  preprocess::Options plain;
  plain.normalise = preprocess::Normalise::kNone;
  std::vector<image::ImageF> pictures = grey_pictures();
  for (image::ImageF& picture : pictures) picture = normalised(picture, 128, 64);
  expect_equal(plain, pictures, pictures);
}

TEST_F(ExportOnnx, NormalisesEachImageByItself) {
  std::vector<image::ImageF> prepared;
  for (const image::ImageF& grey : grey_pictures()) prepared.push_back(z_scored(grey));
  expect_equal({}, grey_pictures(), prepared);
}

TEST_F(ExportOnnx, NormalisesByTheDataSet) {
  preprocess::Options options;
  options.normalise = preprocess::Normalise::kDataset;
  options.dataset_mean = 120, options.dataset_sd = 50;
  std::vector<image::ImageF> prepared;
  for (const image::ImageF& grey : grey_pictures()) prepared.push_back(normalised(grey, 120, 50));
  expect_equal(options, grey_pictures(), prepared);
}

TEST_F(ExportOnnx, SaysWhatItTakesAndWhatItIs) {
  preprocess::Options options;
  options.unsharp_radius = 17;
  const onnx::ModelProto model = exported(options);
  const auto description = [](const onnx::ValueInfoProto& value) {
    std::string text = value.name();
    for (const auto& side : value.type().tensor_type().shape().dim()) {
      text += " " + (side.has_dim_value() ? std::to_string(side.dim_value()) : side.dim_param());
    }
    return text;
  };
  EXPECT_EQ(description(model.graph().input(0)), "grey N 1 H W");
  EXPECT_EQ(description(model.graph().output(0)), "vessel_probability N H W");
  std::map<std::string, std::string> metadata;
  for (const auto& entry : model.metadata_props()) metadata[entry.key()] = entry.value();
  EXPECT_NE(metadata.at("disclaimer").find("not for clinical use"), std::string::npos);
  EXPECT_EQ(preprocess::options_from_json(parse_json(metadata.at("preprocessing"), "metadata"), "metadata"), options);
}

}  // namespace
}  // namespace cmunet::engine
