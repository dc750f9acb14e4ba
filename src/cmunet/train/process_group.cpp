// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/process_group.h"

#include <torch/types.h>

#include <csignal>
#include <cstdlib>
#include <utility>

#include "cmunet/base/error.h"

#ifdef CMUNET_GLOO
#include <torch/version.h>

#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#endif

namespace cmunet::train {
namespace {

#ifdef CMUNET_GLOO

// PyTorch 2 took the backends out of ProcessGroup, which is a choice among them since.
#if TORCH_VERSION_MAJOR >= 2
using Backend = c10d::Backend;
#else
using Backend = c10d::ProcessGroup;
#endif
using Work = c10::intrusive_ptr<c10d::Work>;

class ProcessGroup : public nn::Communicator {
 public:
  ProcessGroup(const Launch& launch, std::chrono::milliseconds timeout) : rank_(launch.rank), size_(launch.size) {
    guarded("meeting", [&] {
      const auto store = make_store(launch, timeout);
      cpu_ = make_gloo(store, launch, timeout);
#ifdef USE_C10D_NCCL
      if (!at::hasCUDA()) return;
      auto options = c10d::ProcessGroupNCCL::Options::create();
      options->timeout = timeout;
      cuda_ = c10::make_intrusive<c10d::ProcessGroupNCCL>(c10::make_intrusive<c10d::PrefixStore>("nccl", store), rank_,
                                                          size_, options);
#endif
    });
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::function<void()> start_sum(const at::Tensor& x) override {
    const at::Tensor place = reachable(x);
    Work work;
    guarded("sum", [&] {
      std::vector<at::Tensor> tensors{place};
      work = backend_of(place).allreduce(tensors);
    });
    return [this, work, place, x] {
      wait("sum", work);
      if (!place.is_alias_of(x)) x.detach().copy_(place);
    };
  }

  at::Tensor gather(const at::Tensor& x) override {
    at::Tensor place = reachable(x);
    std::vector<std::int64_t> shape = x.sizes().vec();
    shape.insert(shape.begin(), size_);
    const at::Tensor all = torch::empty(shape, place.options());
    Work work;
    guarded("gather", [&] {
      std::vector<std::vector<at::Tensor>> outputs{all.unbind(0)};
      std::vector<at::Tensor> inputs{place};
      work = backend_of(place).allgather(outputs, inputs);
    });
    wait("gather", work);
    return all.to(x.device());
  }

  void broadcast(const at::Tensor& x) override {
    const at::Tensor place = reachable(x);
    Work work;
    guarded("broadcast", [&] {
      std::vector<at::Tensor> tensors{place};
      work = backend_of(place).broadcast(tensors);
    });
    wait("broadcast", work);
    if (!place.is_alias_of(x)) x.detach().copy_(place);
  }

 private:
  static c10::intrusive_ptr<c10d::Store> make_store(const Launch& launch, std::chrono::milliseconds timeout) {
    c10::intrusive_ptr<c10d::Store> store;
    if (!launch.file.empty()) {
      store = c10::make_intrusive<c10d::FileStore>(launch.file, launch.size);
    } else {
      c10d::TCPStoreOptions options;
      options.port = static_cast<std::uint16_t>(launch.port);
      options.isServer = launch.rank == 0 && !launch.is_served;
      options.timeout = timeout;
      // torchrun's server counts other clients than ours.
      if (!launch.is_served) options.numWorkers = static_cast<std::size_t>(launch.size);
      options.waitWorkers = !launch.is_served;
      store = c10::make_intrusive<c10d::TCPStore>(launch.host, options);
    }
    store->setTimeout(timeout);
    return c10::make_intrusive<c10d::PrefixStore>("cmunet" + launch.attempt, store);
  }

  static c10::intrusive_ptr<Backend> make_gloo(const c10::intrusive_ptr<c10d::Store>& store, const Launch& launch,
                                               std::chrono::milliseconds timeout) {
    const auto options = c10d::ProcessGroupGloo::Options::create(timeout);
    const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
    options->devices.push_back(interface != nullptr    ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                               : launch.on_one_machine ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                                                       : c10d::ProcessGroupGloo::createDefaultDevice());
    options->threads = 2;  // a gradient's sum waits on one while batch norm's goes through the other
    return c10::make_intrusive<c10d::ProcessGroupGloo>(c10::make_intrusive<c10d::PrefixStore>("gloo", store),
                                                       launch.rank, launch.size, options);
  }

  // x itself, or a copy on the host when no backend reaches its device.
  at::Tensor reachable(const at::Tensor& x) const {
    const at::Tensor plain = x.detach();
    return x.is_cpu() || cuda_ ? plain.contiguous() : plain.to(at::kCPU).contiguous();
  }

  Backend& backend_of(const at::Tensor& x) const { return x.is_cpu() ? *cpu_ : *cuda_; }

  void wait(const char* operation, const Work& work) const {
    guarded(operation, [&] { work->wait(); });
  }

  // Whatever c10d and Gloo throw means that another process did not do its part.
  template <typename Action>
  void guarded(const char* operation, Action action) const {
    try {
      action();
    } catch (const std::exception& e) {
      const std::string why = e.what();
      throw Error(ErrorCode::kIo,
                  concat("[processes] rank ", rank_, " of ", size_, " lost the others in ", operation, ": ",
                         why.substr(0, why.find('\n'))),
                  "see what the others say; then go on with --resume, with as many processes as you like");
    }
  }

  int rank_, size_;
  c10::intrusive_ptr<Backend> cpu_, cuda_;
};

#endif

}  // namespace

std::unique_ptr<nn::Communicator> join_processes(const Launch& launch, std::chrono::milliseconds timeout) {
  if (launch.alone()) return std::make_unique<nn::SingleProcess>();
#ifdef CMUNET_GLOO
  ::signal(SIGPIPE, SIG_IGN);  // Gloo writes to the connection of one that died, and the error is to be seen
  return std::make_unique<ProcessGroup>(launch, timeout);
#else
  static_cast<void>(timeout);
  throw Error(ErrorCode::kUnsupported, concat("[processes] ", launch.size, " processes: this program has no Gloo"),
              "install libgloo-dev and build again, or start a single process");
#endif
}

}  // namespace cmunet::train
