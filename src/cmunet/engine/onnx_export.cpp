// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/onnx_export.h"

#include <onnx/onnx_pb.h>

#include <initializer_list>
#include <string>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/version.h"

namespace cmunet::engine {
namespace {

constexpr int kIrVersion = 8;
constexpr int kOpset = 13;

// Appends nodes to a graph; every method returns the name of the value it makes.
class GraphBuilder {
 public:
  explicit GraphBuilder(onnx::GraphProto& graph) : graph_(graph) {}

  std::string constant(const std::string& name, std::initializer_list<std::size_t> shape,
                       const std::vector<float>& values) {
    onnx::TensorProto& tensor = *graph_.add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    for (const std::size_t side : shape) tensor.add_dims(static_cast<std::int64_t>(side));
    tensor.set_raw_data(values.data(), values.size() * sizeof(float));  // little-endian, as this program requires
    return name;
  }

  onnx::NodeProto& node(const char* operation, std::initializer_list<std::string> inputs, const std::string& output) {
    onnx::NodeProto& made = *graph_.add_node();
    made.set_op_type(operation);
    made.set_name(output);
    for (const std::string& input : inputs) made.add_input(input);
    made.add_output(output);
    return made;
  }

  static void set(onnx::NodeProto& node, const char* attribute, std::initializer_list<std::int64_t> values) {
    onnx::AttributeProto& a = *node.add_attribute();
    a.set_name(attribute);
    a.set_type(onnx::AttributeProto::INTS);
    for (const std::int64_t value : values) a.add_ints(value);
  }

  static void set(onnx::NodeProto& node, const char* attribute, std::int64_t value) {
    onnx::AttributeProto& a = *node.add_attribute();
    a.set_name(attribute);
    a.set_type(onnx::AttributeProto::INT);
    a.set_i(value);
  }

  std::string convolution(const std::string& input, const std::string& name, const Convolution& c) {
    const auto side = static_cast<std::int64_t>(c.side), border = side / 2;
    const std::string w = constant(name + ".weight", {c.out, c.in, c.side, c.side}, c.weights);
    const std::string b = constant(name + ".bias", {c.out}, c.bias);
    onnx::NodeProto& made = node("Conv", {input, w, b}, name);
    set(made, "kernel_shape", {side, side});
    set(made, "pads", {border, border, border, border});
    return name;
  }

  std::string block(std::string x, const std::string& name, const std::array<Convolution, 2>& convolutions) {
    for (std::size_t i = 0; i < 2; ++i) {
      const std::string layer = concat(name, ".", i + 1);
      const std::string linear = convolution(x, layer, convolutions[i]);
      node("Relu", {linear}, layer + ".relu");
      x = layer + ".relu";
    }
    return x;
  }

  std::string upsample(const std::string& input, const std::string& name, const Convolution& c) {
    const std::string w = constant(name + ".weight", {c.in, c.out, 2, 2}, c.weights);
    const std::string b = constant(name + ".bias", {c.out}, c.bias);
    onnx::NodeProto& made = node("ConvTranspose", {input, w, b}, name);
    set(made, "kernel_shape", {2, 2});
    set(made, "strides", {2, 2});
    return name;
  }

 private:
  onnx::GraphProto& graph_;
};

std::string add_normalisation(GraphBuilder& g, const preprocess::Options& preprocessing) {
  if (preprocessing.normalise == preprocess::Normalise::kNone) return "grey";
  if (preprocessing.normalise == preprocess::Normalise::kDataset) {
    g.constant("dataset_mean", {1}, {static_cast<float>(preprocessing.dataset_mean)});
    g.constant("dataset_sd", {1}, {static_cast<float>(preprocessing.dataset_sd)});
    g.node("Sub", {"grey", "dataset_mean"}, "centred");
    g.node("Div", {"centred", "dataset_sd"}, "normalised");
    return "normalised";
  }
  GraphBuilder::set(g.node("ReduceMean", {"grey"}, "mean"), "axes", {1, 2, 3});
  g.node("Sub", {"grey", "mean"}, "centred");
  g.node("Mul", {"centred", "centred"}, "squares");
  GraphBuilder::set(g.node("ReduceMean", {"squares"}, "variance"), "axes", {1, 2, 3});
  // Far below any image's variance: a constant image becomes 0, as in preprocessing.
  g.constant("tiny", {1}, {1e-12F});
  g.node("Add", {"variance", "tiny"}, "variance_above_zero");
  g.node("Sqrt", {"variance_above_zero"}, "sd");
  g.node("Div", {"centred", "sd"}, "normalised");
  return "normalised";
}

void add_network(GraphBuilder& g, const UNetWeights& unet, std::string x) {
  std::array<std::string, kLevels> skips;
  for (std::size_t l = 0; l <= kLevels; ++l) {
    x = g.block(x, l < kLevels ? concat("encoder", l + 1) : "bottleneck", unet.encoder[l]);
    if (l == kLevels) break;
    skips[l] = x;
    onnx::NodeProto& pool = g.node("MaxPool", {x}, concat("pool", l + 1));
    GraphBuilder::set(pool, "kernel_shape", {2, 2});
    GraphBuilder::set(pool, "strides", {2, 2});
    x = concat("pool", l + 1);
  }
  for (std::size_t l = kLevels; l-- > 0;) {
    const std::string up = g.upsample(x, concat("up", l + 1), unet.up[l]);
    GraphBuilder::set(g.node("Concat", {up, skips[l]}, concat("concat", l + 1)), "axis", 1);
    x = g.block(concat("concat", l + 1), concat("decoder", l + 1), unet.decoder[l]);
  }
  x = g.convolution(x, "logits", unet.last);
  GraphBuilder::set(g.node("Softmax", {x}, "probabilities"), "axis", 1);
}

// A float value; a dimension is "1" or a symbol.
void describe_value(onnx::ValueInfoProto& value, const char* name, std::initializer_list<const char*> dimensions) {
  value.set_name(name);
  onnx::TypeProto::Tensor& type = *value.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx::TensorProto::FLOAT);
  for (const std::string dimension : dimensions) {
    onnx::TensorShapeProto::Dimension& d = *type.mutable_shape()->add_dim();
    if (dimension == "1") {
      d.set_dim_value(1);
    } else {
      d.set_dim_param(dimension);
    }
  }
}

}  // namespace

void export_onnx(const std::filesystem::path& path, const UNetWeights& weights,
                 const preprocess::Options& preprocessing) {
  onnx::ModelProto model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name("cmunet");
  model.set_producer_version(std::string(kVersion));
  model.set_doc_string(std::string(kDisclaimer));
  model.add_opset_import()->set_version(kOpset);
  for (const auto& [key, value] : {std::pair<std::string, std::string>{"preprocessing", to_json(preprocessing).dump()},
                                   {"disclaimer", std::string(kDisclaimer)}}) {
    onnx::StringStringEntryProto& entry = *model.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.set_name("unet");
  describe_value(*graph.add_input(), "grey", {"N", "1", "H", "W"});
  describe_value(*graph.add_output(), "vessel_probability", {"N", "H", "W"});
  GraphBuilder builder(graph);
  add_network(builder, weights, add_normalisation(builder, preprocessing));
  onnx::TensorProto& vessel = *graph.add_initializer();
  vessel.set_name("vessel_class");
  vessel.set_data_type(onnx::TensorProto::INT64);
  vessel.add_int64_data(1);
  GraphBuilder::set(builder.node("Gather", {"probabilities", "vessel_class"}, "vessel_probability"), "axis", 1);
  CMUNET_CHECK(model.ByteSizeLong() < (std::size_t{1} << 31), ErrorCode::kUnsupported, "[export] the network takes ",
               model.ByteSizeLong(), " bytes; an ONNX file holds less than 2 GB");
  write_file_atomic(path, model.SerializeAsString());
}

}  // namespace cmunet::engine
