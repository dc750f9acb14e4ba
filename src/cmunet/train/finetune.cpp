// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/finetune.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>

#include "cmunet/augment/image_rngs.h"
#include "cmunet/base/error.h"
#include "cmunet/base/log.h"
#include "cmunet/nn/centreline_losses.h"
#include "cmunet/nn/communicator.h"
#include "cmunet/nn/count.h"
#include "cmunet/nn/exact.h"
#include "cmunet/nn/losses.h"
#include "cmunet/train/gradients.h"
#include "cmunet/train/memory.h"
#include "cmunet/train/precision.h"
#include "cmunet/train/session.h"
#include "cmunet/train/step_losses.h"

namespace cmunet::train {
namespace {

constexpr std::int64_t kFewestImages = 1;  // of a pass

struct Plan {
  std::int64_t images = 0, batch_size = 0, steps_per_epoch = 0, steps = 0, epochs = 0, validate_every = 0;
  ScheduleOptions schedule;
};

// A fold's run is as long, and validated at the same steps, as one on all images would be: curves of folds can be
// averaged, and a number of steps that they choose means the same to the final model.
Plan make_plan(const FinetuneOptions& o, const LabelledData& data) {
  const auto images = static_cast<std::int64_t>(data.train.ids.size());
  Plan plan;
  plan.images = images;
  plan.batch_size = std::min<std::int64_t>(o.batch_size, images);
  if (plan.batch_size < o.batch_size) {
    log_warning("[finetune] the batch of ", o.batch_size, " is larger than the set of ", images,
                " images; every step uses all of them");
  }
  plan.steps_per_epoch = steps_per_epoch(images, plan.batch_size, kFewestImages);
  const std::int64_t steps_of_all = steps_per_epoch(
      data.fine_tuning_images, std::min<std::int64_t>(o.batch_size, data.fine_tuning_images), kFewestImages);
  plan.steps = o.steps > 0 ? o.steps : steps_of_all * o.epochs;
  plan.epochs = (plan.steps + plan.steps_per_epoch - 1) / plan.steps_per_epoch;
  plan.validate_every = o.validate_every_steps > 0 ? o.validate_every_steps : steps_of_all;
  plan.schedule = {.kind = o.schedule,
                   .peak_lr = o.lr,
                   .warmup_steps = o.warmup_steps,
                   .total_steps = o.schedule_steps > 0 ? o.schedule_steps : plan.steps};
  return plan;
}

Json options_json(FinetuneOptions options) {
  Fields fields;
  describe(options, fields);
  return fields.to_json();
}

LabelledDataOptions data_options(const FinetuneOptions& o, const FinetuneRequest& request) {
  return {.validation = o.validation,
          .folds = o.folds,
          .fold = o.fold,
          .labels = request.labels,
          .seed = o.seed,
          .image_type = o.image_type};
}

class Run {
 public:
  Run(const FinetuneOptions& options, const FinetuneRequest& request, const Observer& observer)
      : options_(options),
        request_(request),
        observer_(observer),
        device_(parse_device(request.device)),
        data_(load_labelled_data(request.store, data_options(options, request), device_)),
        plan_(make_plan(options, data_)),
        unet_(make_unet()),
        optimizer_(*unet_,
                   {.weight_decay = options.weight_decay, .fused = options.unet.kernels == nn::Kernels::kNative}),
        averager_(*unet_),
        scale_(options.precision),
        losses_(steps_per_reading(device_)) {
    check_shares(plan_.images, plan_.batch_size, plan_.batch_size, kFewestImages);
  }

  Json execute() {
    check_memory("finetune", memory_bytes(), device_);
    FinetuneOptions described = options_;
    Fields fields;
    describe(described, fields);
    check_agreement("options or data", fields.to_toml() + data_identity().dump());  // before anything is overwritten
    folder_.emplace(request_.out, fields, request_.resume, request_.force);
    if (request_.resume) restore_state();
    const StopRequest stop(request_.stop_flag, options_.max_minutes, request_.out);
    log_info("fine-tuning on ", plan_.images, " labelled images of ", data_.height, "x", data_.width, ": ", plan_.steps,
             " steps, validation on ", data_.val.ids.size(), " images every ", plan_.validate_every, " steps");
    if (data_.val.ids.empty() && options_.validation == Validation::kSplit) {
      log_warning("[finetune] the store has no val split: the last step will be the model");
    }
    try {
      while (position_.step < plan_.steps) {
        run_epoch(stop);
        ++position_.epoch;
        position_.step_in_epoch = 0;
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
    const std::int64_t count = std::min(std::max<std::int64_t>(4, nn::communicator().size()), plan_.batch_size);
    std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
    std::iota(rows.begin(), rows.end(), std::int64_t{0});
    autocast_precision_ = measured_precision(options_.precision, device_);
    losses_ = StepLosses(1);  // the device has done what is timed
    train_step(rows);         // warms up
    throughput_ = Throughput();
    train_step(rows);
    const double seconds = throughput_.seconds_per_step() * static_cast<double>(plan_.batch_size * plan_.steps) /
                           static_cast<double>(rows.size());
    return {{"images", plan_.images},
            {"validation_images", data_.val.ids.size()},
            {"steps", plan_.steps},
            {"epochs", plan_.epochs},
            {"parameters", {{"trainable", nn::count_parameters("unet", *unet_).trainable}}},
            {"memory_estimate_gib", memory_bytes() / (1 << 30)},
            {"expected_hours_without_validation", seconds / 3600},
            {"expected_hours_measured_in", name_of(autocast_precision_)},
            {"init", init_report_},
            {"config", options_json(options_)}};
  }

 private:
  double memory_bytes() const {
    const double images = std::ceil(static_cast<double>(plan_.batch_size) / nn::communicator().size());
    const double activations = nn::activation_bytes(options_.unet, data_.height, data_.width) *
                               activation_share(options_.precision, options_.synchronised_norms) * images;
    const auto parameters = static_cast<double>(nn::count_parameters("unet", *unet_).trainable);
    const auto data = static_cast<double>(data_.train.images.nbytes() + data_.val.images.nbytes());
    return activations + 16 * parameters + data;
  }

  nn::UNet make_unet() {
    torch::manual_seed(options_.seed);
    nn::UNet unet(options_.unet);
    // A resumed run gets its weights from the state.
    if (!request_.init.empty() && !request_.resume) load_initial_weights(unet);
    set_precision(*unet, options_.precision);
    unet->to(device_);
    unet->train();
    nn::synchronise_batch_norms(*unet, options_.synchronised_norms);
    share_weights(*unet);
    if (device_.is_cuda()) use_channels_last(*unet);
    return unet;
  }

  void load_initial_weights(nn::UNet& unet) {
    const SafetensorsFile file = SafetensorsFile::open(find_model_file(request_.init));
    const std::string origin = file.path().string();
    std::string method = "unknown";
    if (file.metadata().contains("cmunet")) {
      const ModelInfo info = read_model_info(file);
      method = info.method;
      CMUNET_CHECK(info.base_width == options_.unet.base_width, ErrorCode::kInvalidArgument, "[finetune] ", origin,
                   " has base_width ", info.base_width, " but model.base_width is ", options_.unet.base_width);
      if (info.preprocessing != data_.preprocessing) {
        log_warning("[finetune] ", origin, " was trained on differently preprocessed images than this store's");
      }
    }
    // The last layer of pre-training rebuilds images; the segmentation head starts anew.
    const LoadReport report = load_into(*unet, file, {"conv_last."});
    log_info("initial weights from ", origin, ": ", report.loaded.size(), " tensors loaded, ", report.missing.size(),
             " new, ", report.unused.size(), " unused, ", report.mismatched.size(), " of another shape");
    if (report.loaded.empty()) {
      throw Error(ErrorCode::kInvalidArgument, concat("[finetune] no tensor of ", origin, " fits this UNet"),
                  "expected names such as down_conv1.double_conv.double_conv.0.weight");
    }
    init_report_ = {{"file", origin},
                    {"hash", file.content_hash()},
                    {"method", method},
                    {"loaded", report.loaded},
                    {"new", report.missing},
                    {"unused", report.unused},
                    {"other_shape", report.mismatched}};
  }

  void run_epoch(const StopRequest& stop) {
    const std::vector<std::int64_t> order = order_of_epoch(options_.seed, position_.epoch, plan_.images);
    while (position_.step_in_epoch < plan_.steps_per_epoch && position_.step < plan_.steps) {
      const auto begin = static_cast<std::size_t>(position_.step_in_epoch * plan_.batch_size);
      const auto end = std::min(order.size(), begin + static_cast<std::size_t>(plan_.batch_size));
      train_step(std::span(order).subspan(begin, end - begin));
      if (position_.step % plan_.validate_every == 0 || position_.step == plan_.steps) finish_period();
      if (const std::string reason = stop.reason(); !reason.empty() && position_.step < plan_.steps) stop_now(reason);
    }
  }

  void train_step(std::span<const std::int64_t> rows) {
    throughput_.begin_step();
    throughput_.begin_data();
    const double lr = learning_rate(plan_.schedule, position_.step);
    const augment::Augmented batch = make_batch(rows);
    throughput_.data_done();
    at::Tensor logits;
    {
      const Autocast autocast(autocast_precision_, device_);
      logits = unet_->forward(batch.images);
    }
    const at::Tensor total = loss_of(nn::at_least_single(logits), batch.masks);
    averager_.start();
    (total * scale_.value()).backward();
    losses_.add("loss", total);
    losses_.end_step(position_, lr, ids_of(rows), means_);
    averager_.finish();
    const bool is_finite = scale_.unscale(unet_->parameters());
    if (is_finite) optimizer_.step(lr);
    add_skipped(means_, scale_, !is_finite);
    optimizer_.zero_grad();
    ++position_.step_in_epoch;
    ++position_.step;
    throughput_.end_step(static_cast<std::int64_t>(rows.size()));
    if (observer_.on_step) {
      observer_.on_step(make_event(position_, plan_.epochs, plan_.steps, losses_.last(), lr, throughput_));
    }
  }

  // This process's share of a step's images.
  augment::Augmented make_batch(std::span<const std::int64_t> rows) const {
    const nn::Share share = nn::share_of(static_cast<std::int64_t>(rows.size()));
    const auto mine = rows.subspan(static_cast<std::size_t>(share.first), static_cast<std::size_t>(share.count));
    std::vector<Rng> rngs = augment::image_rngs(rng_of_step(options_.seed, position_.step), share.first, share.count);
    augment::Augmented batch = augment::augment(augment::gather(data_.train.images, mine),
                                                augment::gather(data_.train.masks, mine), options_.augment, rngs);
    batch.images = with_precision(batch.images, options_.precision);
    return batch;
  }

  // Dice and cross-entropy, and the centreline terms that are asked for; each goes into the means.
  at::Tensor loss_of(const at::Tensor& logits, const at::Tensor& masks) {
    const nn::SegmentationLoss loss = nn::segmentation_loss(logits, masks, options_.lambda_ce);
    losses_.add("loss_dice", loss.dice);
    losses_.add("loss_cross_entropy", loss.cross_entropy);
    at::Tensor total = loss.total;
    const bool wants_centrelines = options_.lambda_cl_dice > 0 || options_.lambda_skeleton_recall > 0;
    if (!wants_centrelines) return total;
    const at::Tensor vessel = torch::softmax(logits, 1).select(1, 1);
    const auto add = [&](const char* name, double weight, const at::Tensor& term) {
      losses_.add(name, term);
      total = total + weight * term;
    };
    if (options_.lambda_cl_dice > 0) {
      add("loss_cl_dice", options_.lambda_cl_dice, nn::soft_cl_dice_loss(vessel, masks, options_.skeleton_iterations));
    }
    if (options_.lambda_skeleton_recall > 0) {
      add("loss_skeleton_recall", options_.lambda_skeleton_recall,
          nn::skeleton_recall_loss(vessel, skeleton_tubes(masks)));
    }
    return total;
  }

  std::vector<std::string> ids_of(std::span<const std::int64_t> rows) const {
    std::vector<std::string> ids;
    for (const std::int64_t row : rows) ids.push_back(data_.train.ids[static_cast<std::size_t>(row)]);
    return ids;
  }

  // One line of metrics.jsonl: training means since the last one, validation, and the checkpoint.
  void finish_period() {
    losses_.read(means_);
    Json row = {{"epoch", position_.epoch + 1}, {"step", position_.step}};
    row.update(means_.to_json());
    means_.clear();
    if (!data_.val.ids.empty()) {
      if (!options_.synchronised_norms) share_weights(*unet_);  // each has running statistics of its own
      const double dice = validation_dice();
      row["val_dice"] = dice;
      if (dice > best_dice_) {
        best_dice_ = dice;
        best_step_ = position_.step;
        save_as("best.safetensors");
      }
    }
    add_pace(row, learning_rate(plan_.schedule, position_.step - 1), throughput_);
    folder_->append_metrics(row);
    save();
    if (observer_.on_epoch) observer_.on_epoch(row);
  }

  // Each process does its part of the images.
  double validation_dice() {
    const std::int64_t images = data_.val.images.size(0), rank = nn::communicator().rank(),
                       size = nn::communicator().size();
    const std::int64_t first = images * rank / size, count = images * (rank + 1) / size - first;
    const at::Tensor sum = torch::zeros({1}, torch::kDouble);
    if (count > 0) {
      const at::Tensor probability = vessel_probability(unet_, data_.val.images.narrow(0, first, count));
      sum.fill_(mean_dice(probability, data_.val.masks.narrow(0, first, count)) * static_cast<double>(count));
    }
    nn::communicator().sum(sum);
    return sum.item<double>() / static_cast<double>(images);
  }

  void save_as(const char* name) {
    if (!nn::communicator().leads()) return;
    ModelInfo info;
    info.kind = "segmentation";
    info.method = init_report_.is_object() ? init_report_.value("method", "unknown") : "supervised";
    info.base_width = options_.unet.base_width;
    info.preprocessing = data_.preprocessing;
    info.height = data_.height;
    info.width = data_.width;
    info.details = run_record("running");
    save_model(folder_->checkpoint(name), *unet_, info);
  }

  void save() {
    if (!nn::communicator().leads()) return;
    Json state = state_json(position_, means_, optimizer_.step_count());
    state["loss_scale"] = scale_.state();
    state["best_dice"] = best_dice_;
    state["best_step"] = best_step_;
    state["init"] = init_report_;
    state["data"] = data_identity();
    // The model first: a run killed between the two has a state that comes to the same model again.
    save_as("last.safetensors");
    save_state(folder_->state_file(), state_of(*unet_, optimizer_), state);
  }

  // What a resumed run must find as it was.
  Json data_identity() const {
    return {{"stores", {data_.content_hash}},
            {"labels", request_.labels},
            {"images", hash_of_ids(data_.train.ids)},
            {"validation_images", hash_of_ids(data_.val.ids)}};
  }

  // A resumed run needs no --init; one that is given must hold the weights that the run began with.
  void check_same_init(const Json& saved) const {
    if (request_.init.empty()) return;
    const bool is_older = saved.is_object() && !saved.contains("hash");
    if (is_older) return;
    const std::string began_with = saved.is_object() ? json_get<std::string>(saved, "hash", "state") : "none";
    const std::string now = SafetensorsFile::open(find_model_file(request_.init)).content_hash();
    CMUNET_CHECK(now == began_with, ErrorCode::kInvalidArgument, "[resume] --init ", request_.init.string(),
                 " holds the weights ", now, " but the run began with ", began_with);
  }

  void restore_state() {
    const TrainingState saved = load_state(folder_->state_file());
    check_same_data(saved, data_identity());
    check_same_init(json_get<Json>(saved.state, "init", "state"));
    load_exactly(*unet_, saved.file);
    optimizer_.load(saved.file, json_get<std::int64_t>(saved.state, "optimizer_steps", "state"));
    scale_.set_state(json_get<Json>(saved.state, "loss_scale", "state"));
    best_dice_ = json_get<double>(saved.state, "best_dice", "state");
    best_step_ = json_get<std::int64_t>(saved.state, "best_step", "state");
    init_report_ = json_get<Json>(saved.state, "init", "state");
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
                concat("[finetune] stopped by ", reason, " after step ", position_.step, " of ", plan_.steps,
                       "; the state is saved"),
                "continue with --resume");
  }

  std::string selected_by() const {
    if (data_.val.ids.empty()) return "last step";
    if (options_.validation == Validation::kSplit) return "mean per-image Dice on val";
    return concat("mean per-image Dice on fold ", options_.fold + 1, " of ", options_.folds);
  }

  Json run_record(const std::string& exit_reason) const {
    Json record = {{"command", "finetune"},
                   {"exit", exit_reason},
                   {"epoch", position_.epoch},
                   {"step", position_.step},
                   {"steps", plan_.steps},
                   {"images", plan_.images},
                   {"image_ids", data_.train.ids},
                   {"validation_images", data_.val.ids.size()},
                   {"validation_ids", data_.val.ids},
                   {"selected_by", selected_by()},
                   {"data_hashes", {data_.content_hash}},
                   {"device", request_.device},
                   {"threads", at::get_num_threads()},
                   {"processes", nn::communicator().size()},
                   {"wall_s", throughput_.elapsed_s()},
                   {"images_per_second", throughput_.images_per_second()},
                   {"init", init_report_},
                   {"config", options_json(options_)}};
    if (best_step_ > 0) record.update({{"best_val_dice", best_dice_}, {"best_step", best_step_}});
    return record;
  }

  const FinetuneOptions& options_;
  Precision autocast_precision_ = options_.precision;
  const FinetuneRequest& request_;
  const Observer& observer_;
  at::Device device_;
  LabelledData data_;
  Plan plan_;
  Json init_report_;
  nn::UNet unet_;
  std::optional<RunFolder> folder_;
  Optimizer optimizer_;
  GradientAverager averager_;
  LossScale scale_;
  Position position_;
  StepLosses losses_;
  Means means_;
  Throughput throughput_;
  double best_dice_ = -1;
  std::int64_t best_step_ = 0;
};

}  // namespace

at::Tensor vessel_probability(nn::UNet unet, const at::Tensor& images, std::int64_t batch_size) {
  const torch::NoGradGuard no_grad;
  const bool was_training = unet->is_training();
  unet->eval();
  std::vector<at::Tensor> parts;
  for (const at::Tensor& batch : images.split(batch_size)) {
    const at::Tensor input = batch.to(unet->parameters()[0].scalar_type());
    parts.push_back(torch::softmax(unet->forward(input), 1).select(1, 1));
  }
  unet->train(was_training);
  return torch::cat(parts);
}

double mean_dice(const at::Tensor& probability_nhw, const at::Tensor& target_nhw) {
  const at::Tensor pred = probability_nhw > 0.5;
  const at::Tensor target = target_nhw > 0;
  const at::Tensor both = pred.logical_and(target).sum({1, 2}).to(at::kDouble);
  const at::Tensor all = (pred.sum({1, 2}) + target.sum({1, 2})).to(at::kDouble);
  return torch::where(all > 0, 2 * both / all.clamp_min(1), torch::ones_like(all)).mean().item<double>();
}

Json plan_finetune(const FinetuneOptions& options, const FinetuneRequest& request) {
  options.check();
  const Observer silent;
  return Run(options, request, silent).plan();
}

Json finetune(const FinetuneOptions& options, const FinetuneRequest& request, const Observer& observer) {
  options.check();
  try {
    return Run(options, request, observer).execute();
  } catch (const c10::Error& e) {
    throw to_error("finetune", e);
  }
}

}  // namespace cmunet::train
