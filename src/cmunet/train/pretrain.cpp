// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/pretrain.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>

#include "cmunet/augment/image_rngs.h"
#include "cmunet/base/error.h"
#include "cmunet/base/log.h"
#include "cmunet/nn/communicator.h"
#include "cmunet/nn/count.h"
#include "cmunet/nn/unet.h"
#include "cmunet/train/gradients.h"
#include "cmunet/train/memory.h"
#include "cmunet/train/precision.h"
#include "cmunet/train/session.h"
#include "cmunet/train/step_losses.h"

namespace cmunet::train {
namespace {

constexpr std::int64_t kPictureCount = 4;
// Of a pass: batch norm over one image's embedding has no variance. A last one alone is left out.
constexpr std::size_t kFewestImages = 2;

// Of activations kept for the backward pass: the UNet once, the second decoder, and the momentum encoder's while it
// runs.
constexpr double kForwardPasses = 2.0;

// The time axis of a run, from options and data.
struct Plan {
  std::int64_t images = 0, images_per_step = 0, steps_per_epoch = 0, steps = 0, epochs = 0;
  ScheduleOptions schedule;
};

Plan make_plan(const PretrainOptions& o, std::int64_t images) {
  Plan plan;
  plan.images = images;
  plan.images_per_step = std::int64_t{o.batch_size} * o.accumulate;
  if (plan.images_per_step > images) {
    log_warning("[pretrain] the batch of ", plan.images_per_step, " is larger than the set of ", images,
                " images; every step uses all of them");
    plan.images_per_step = images;
  }
  plan.steps_per_epoch = steps_per_epoch(images, plan.images_per_step, kFewestImages);
  plan.steps = o.steps > 0 ? o.steps : plan.steps_per_epoch * o.epochs;
  plan.epochs = (plan.steps + plan.steps_per_epoch - 1) / plan.steps_per_epoch;
  const double scaled = o.base_lr * static_cast<double>(plan.images_per_step) / 256;
  const double peak = o.lr > 0 ? o.lr : scaled;
  plan.schedule = {.kind = o.schedule,
                   .peak_lr = peak,
                   .min_lr = o.end_factor * peak,
                   .warmup_start_factor = o.warmup_start_factor,
                   .warmup_steps = std::llround(o.warmup_epochs * static_cast<double>(plan.steps_per_epoch)),
                   .total_steps = plan.steps,
                   .halve_every_steps = o.halve_every_epochs * plan.steps_per_epoch};
  return plan;
}

// Output channels of a UNet; 0 of an encoder, which has no last layer.
std::int64_t classes_of(const torch::nn::Module& backbone) {
  for (const auto& item : backbone.named_parameters()) {
    if (item.key() == "conv_last.bias") return item.value().size(0);
  }
  return 0;
}

Json options_json(PretrainOptions options) {
  Fields fields;
  describe(options, fields);
  return fields.to_json();
}

// A run in progress: what is saved, and the two ends of the loop body.
class Run {
 public:
  Run(const PretrainOptions& options, const PretrainRequest& request, const Observer& observer)
      : options_(options),
        request_(request),
        observer_(observer),
        device_(parse_device(request.device)),
        data_(load_training_data(request.stores, options.splits, device_, options.image_type)),
        plan_(make_plan(options, data_.data.images.size(0))),
        method_(ssl::make_method(options.method, options.seed)),
        optimizer_(prepare_optimizer()),
        averager_(method_->module()),
        scale_(options.precision),
        losses_(steps_per_reading(device_)) {
    CMUNET_CHECK(plan_.images >= 2, ErrorCode::kInvalidArgument, "[pretrain] there is ", plan_.images,
                 " image; contrast needs at least 2");
    check_shares(plan_.images, plan_.images_per_step, options.batch_size, kFewestImages);
  }

  Json execute() {
    check_memory("pretrain", memory_bytes(), device_);
    PretrainOptions described = options_;
    Fields fields;
    describe(described, fields);
    check_agreement("options or data", fields.to_toml() + data_identity().dump());  // before anything is overwritten
    folder_.emplace(request_.out, fields, request_.resume, request_.force);
    if (request_.resume) restore_state();
    const StopRequest stop(request_.stop_flag, options_.max_minutes, request_.out);
    log_info("pre-training ", ssl::to_string(method_->kind()), " on ", plan_.images, " images of ", data_.height, "x",
             data_.width, ": ", plan_.steps, " steps (", plan_.epochs, " epochs of ", plan_.steps_per_epoch,
             "), peak learning rate ", plan_.schedule.peak_lr);
    try {
      while (position_.step < plan_.steps) {
        run_epoch(stop);
        finish_epoch();
      }
    } catch (const Error& e) {
      if (e.code() == ErrorCode::kNumeric) folder_->write_run_json(run_record("diverged: " + e.message()));
      throw;
    }
    const Json record = run_record("finished");
    folder_->write_run_json(record);
    return record;
  }

  Json plan() {
    const nn::ParameterCount parameters = nn::count_parameters("all", method_->module());
    autocast_precision_ = measured_precision(options_.precision, device_);
    const double seconds = measure_step() * static_cast<double>(plan_.steps);
    return {{"images", plan_.images},
            {"steps", plan_.steps},
            {"epochs", plan_.epochs},
            {"steps_per_epoch", plan_.steps_per_epoch},
            {"peak_lr", plan_.schedule.peak_lr},
            {"parameters", {{"trainable", parameters.trainable}, {"frozen", parameters.frozen}}},
            {"memory_estimate_gib", memory_bytes() / (1 << 30)},
            {"expected_hours", seconds / 3600},
            {"expected_hours_measured_in", name_of(autocast_precision_)},
            {"config", options_json(options_)}};
  }

 private:
  double memory_bytes() const {
    const nn::ParameterCount parameters = nn::count_parameters("all", method_->module());
    const std::int64_t view = method_->input_size();
    const auto batch = static_cast<double>(std::min<std::int64_t>(options_.batch_size, plan_.images));
    const double activations = nn::activation_bytes(options_.method.unet, view, view) * kForwardPasses *
                               activation_share(options_.precision, options_.synchronised_norms) *
                               std::ceil(batch / nn::communicator().size());
    // Value, gradient and moments of what is learnt.
    const double copies = options_.optimizer == OptimizerKind::kSgd ? 3 : 4;
    const double weights =
        4 * (copies * static_cast<double>(parameters.trainable) + static_cast<double>(parameters.frozen));
    return activations + weights + static_cast<double>(data_.data.images.nbytes());
  }

  // Seconds of one optimiser step, from a real one on at most four images after a first one that warms up.
  double measure_step() {
    const std::int64_t count = std::min(std::max<std::int64_t>(4, nn::communicator().size()), plan_.images_per_step);
    std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
    std::iota(rows.begin(), rows.end(), std::int64_t{0});
    losses_ = StepLosses(1);  // the device has done what is timed
    train_step(rows);
    throughput_ = Throughput();
    train_step(rows);
    return throughput_.seconds_per_step() * static_cast<double>(plan_.images_per_step) / static_cast<double>(count);
  }

  Optimizer prepare_optimizer() {
    set_precision(method_->module(), options_.precision);
    method_->module().to(device_);
    method_->module().train();
    nn::synchronise_batch_norms(method_->module(), options_.synchronised_norms);
    share_weights(method_->module());
    if (device_.is_cuda()) use_channels_last(method_->module());
    return Optimizer(method_->module(), {.kind = options_.optimizer,
                                         .beta1 = options_.beta1,
                                         .beta2 = options_.beta2,
                                         .momentum = options_.sgd_momentum,
                                         .weight_decay = options_.weight_decay,
                                         .decay_norms = options_.decay_norms,
                                         .max_gradient_norm = options_.max_gradient_norm,
                                         .fused = options_.method.unet.kernels == nn::Kernels::kNative});
  }

  double weight_decay() const {
    if (options_.weight_decay_end < 0) return options_.weight_decay;
    return cosine_between(options_.weight_decay, options_.weight_decay_end, position_.step, plan_.steps);
  }

  void run_epoch(const StopRequest& stop) {
    const std::vector<std::int64_t> order = order_of_epoch(options_.seed, position_.epoch, plan_.images);
    while (position_.step_in_epoch < plan_.steps_per_epoch && position_.step < plan_.steps) {
      const auto begin = static_cast<std::size_t>(position_.step_in_epoch * plan_.images_per_step);
      const auto end = std::min(order.size(), begin + static_cast<std::size_t>(plan_.images_per_step));
      train_step(std::span(order).subspan(begin, end - begin));
      if (const std::string reason = stop.reason(); !reason.empty() && position_.step < plan_.steps) stop_now(reason);
    }
  }

  void train_step(std::span<const std::int64_t> rows) {
    throughput_.begin_step();
    const double lr = learning_rate(plan_.schedule, position_.step);
    std::vector<std::string> ids;
    const std::size_t per_pass = std::min(rows.size(), static_cast<std::size_t>(options_.batch_size));
    const std::size_t rest = rows.size() % per_pass;
    const std::size_t counted = rows.size() - (rest < kFewestImages ? rest : 0);
    for (std::size_t first = 0; first < rows.size(); first += per_pass) {
      const auto part = rows.subspan(first, std::min(per_pass, rows.size() - first));
      if (part.size() < kFewestImages) continue;
      const double weight = static_cast<double>(part.size()) / static_cast<double>(counted);
      throughput_.begin_data();
      const std::vector<at::Tensor> inputs = make_inputs(part, static_cast<std::int64_t>(first));
      throughput_.data_done();
      if (first + per_pass + 1 >= rows.size()) averager_.start();  // no pass of two images comes after it
      ssl::Loss loss;
      {
        const Autocast autocast(autocast_precision_, device_);
        loss = method_->loss(inputs);
      }
      (loss.total * (scale_.value() * weight)).backward();
      losses_.add("loss", loss.total, weight);
      for (const auto& [name, value] : loss.parts) losses_.add(name, value, weight);
      for (const auto& [who, values] : loss.embeddings) losses_.add_embeddings(who, values, weight);
      for (const std::int64_t row : part) ids.push_back(data_.data.ids[static_cast<std::size_t>(row)]);
    }
    losses_.end_step(position_, lr, std::move(ids), means_);
    averager_.finish();
    const bool is_finite = scale_.unscale(method_->module().parameters());
    if (is_finite) optimizer_.step(lr, weight_decay());
    method_->after_step();
    add_skipped(means_, scale_, !is_finite);
    optimizer_.zero_grad();
    ++position_.step_in_epoch;
    ++position_.step;
    throughput_.end_step(static_cast<std::int64_t>(rows.size()));
    if (observer_.on_step) {
      observer_.on_step(make_event(position_, plan_.epochs, plan_.steps, losses_.last(), lr, throughput_));
    }
  }

  // This process's share of some images of a step; `first` counts those of earlier passes.
  std::vector<at::Tensor> make_inputs(std::span<const std::int64_t> rows, std::int64_t first) {
    const nn::Share share = nn::share_of(static_cast<std::int64_t>(rows.size()));
    const auto mine = rows.subspan(static_cast<std::size_t>(share.first), static_cast<std::size_t>(share.count));
    std::vector<Rng> rngs =
        augment::image_rngs(rng_of_step(options_.seed, position_.step), first + share.first, share.count);
    std::vector<at::Tensor> inputs = method_->make_inputs(augment::gather(data_.data.images, mine), rngs);
    for (at::Tensor& input : inputs) input = with_precision(input, options_.precision);
    return inputs;
  }

  void finish_epoch() {
    losses_.read(means_);
    const std::int64_t epoch = position_.epoch + 1;
    Json row = {{"epoch", epoch}, {"step", position_.step}};
    row.update(means_.to_json());
    add_pace(row, learning_rate(plan_.schedule, position_.step - 1), throughput_);
    means_.clear();
    ++position_.epoch;
    position_.step_in_epoch = 0;
    folder_->append_metrics(row);
    const bool last = position_.step >= plan_.steps;
    // Pictures first: the page that is written for the epoch shows them.
    if (observer_.on_picture && (last || epoch % options_.picture_every_epochs == 0)) show_pictures(epoch);
    if (observer_.on_epoch) observer_.on_epoch(row);
    if (last || epoch % options_.save_every_epochs == 0) save();
  }

  // The same images and the same masks every time, so that pictures of different epochs compare.
  void show_pictures(std::int64_t epoch) {
    const at::Tensor images = data_.data.images.narrow(0, 0, std::min(kPictureCount, plan_.images)).to(at::kFloat);
    std::vector<Rng> rngs = augment::image_rngs(Rng(options_.seed).fork(2), 0, images.size(0));
    std::vector<at::Tensor> inputs = method_->make_inputs(images, rngs);
    for (at::Tensor& input : inputs) input = with_precision(input, options_.precision);
    const ssl::Pictures pictures = method_->pictures(inputs);
    if (!pictures.reconstruction.defined()) return;
    std::string number = std::to_string(epoch);
    number.insert(0, number.size() < 4 ? 4 - number.size() : 0, '0');
    observer_.on_picture("epoch-" + number, picture_strip({pictures.input, pictures.reconstruction, pictures.target}));
  }

  void save() {
    if (!nn::communicator().leads()) return;
    Json state = state_json(position_, means_, optimizer_.step_count());
    state["loss_scale"] = scale_.state();
    state["data"] = data_identity();
    ModelInfo info;
    info.kind = "pretrained";
    info.method = ssl::to_string(method_->kind());
    info.classes = classes_of(method_->backbone());
    info.base_width = options_.method.unet.base_width;
    info.preprocessing = data_.preprocessing;
    info.height = data_.height;
    info.width = data_.width;
    info.details = run_record("running");
    // The model first: a run killed between the two has a state that comes to the same model again.
    save_model(folder_->checkpoint("last.safetensors"), method_->backbone(), info);
    save_state(folder_->state_file(), state_of(method_->module(), optimizer_), state);
  }

  // What a resumed run must find as it was.
  Json data_identity() const { return {{"stores", data_.content_hashes}, {"images", hash_of_ids(data_.data.ids)}}; }

  void restore_state() {
    const TrainingState saved = load_state(folder_->state_file());
    check_same_data(saved, data_identity());
    load_exactly(method_->module(), saved.file);
    optimizer_.load(saved.file, json_get<std::int64_t>(saved.state, "optimizer_steps", "state"));
    scale_.set_state(json_get<Json>(saved.state, "loss_scale", "state"));
    restore(saved, position_, means_);
    check_agreement("training states", saved.state.dump());
    folder_->truncate_metrics(position_.step);
    log_info("resuming after step ", position_.step, " of ", plan_.steps);
  }

  [[noreturn]] void stop_now(const std::string& reason) {
    losses_.read(means_);
    save();
    folder_->write_run_json(run_record("stopped: " + reason));
    throw Error(ErrorCode::kCancelled,
                concat("[pretrain] stopped by ", reason, " after step ", position_.step, " of ", plan_.steps,
                       "; the state is saved"),
                "continue with --resume");
  }

  Json run_record(const std::string& exit_reason) const {
    Json modules = Json::array();
    for (const auto& row : nn::count_children(method_->module())) {
      modules.push_back({{"name", row.module}, {"trainable", row.trainable}, {"frozen", row.frozen}});
    }
    return {{"command", "pretrain"},
            {"exit", exit_reason},
            {"epoch", position_.epoch},
            {"step", position_.step},
            {"steps", plan_.steps},
            {"images", plan_.images},
            {"data_hashes", data_.content_hashes},
            {"device", request_.device},
            {"threads", at::get_num_threads()},
            {"processes", nn::communicator().size()},
            {"wall_s", throughput_.elapsed_s()},
            {"images_per_second", throughput_.images_per_second()},
            {"modules", modules},
            {"config", options_json(options_)}};
  }

  const PretrainOptions& options_;
  Precision autocast_precision_ = options_.precision;
  const PretrainRequest& request_;
  const Observer& observer_;
  at::Device device_;
  TrainingData data_;
  Plan plan_;
  std::unique_ptr<ssl::Method> method_;
  std::optional<RunFolder> folder_;
  Optimizer optimizer_;
  GradientAverager averager_;
  LossScale scale_;
  Position position_;
  StepLosses losses_;
  Means means_;
  Throughput throughput_;
};

}  // namespace

Json plan_pretrain(const PretrainOptions& options, const PretrainRequest& request) {
  options.check();
  const Observer silent;
  return Run(options, request, silent).plan();
}

Json pretrain(const PretrainOptions& options, const PretrainRequest& request, const Observer& observer) {
  options.check();
  try {
    return Run(options, request, observer).execute();
  } catch (const c10::Error& e) {
    throw to_error("pretrain", e);
  }
}

}  // namespace cmunet::train
