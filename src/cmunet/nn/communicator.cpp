// SPDX-License-Identifier: Apache-2.0
#include "cmunet/nn/communicator.h"

#include <torch/torch.h>

#include <algorithm>
#include <vector>

#include "cmunet/base/error.h"

namespace cmunet::nn {
namespace {

thread_local Communicator* current = nullptr;

// Backward passes of other devices run on threads of their own, so the communicator travels with the graph.
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

void remember(AutogradContext* context, Communicator& peers) {
  context->saved_data["peers"] = reinterpret_cast<std::int64_t>(&peers);
}

Communicator& recall(AutogradContext* context) {
  return *reinterpret_cast<Communicator*>(context->saved_data["peers"].toInt());
}

at::Tensor summed(Communicator& peers, const at::Tensor& x) {
  at::Tensor sum = x.detach().clone(at::MemoryFormat::Contiguous);
  peers.sum(sum);
  return sum;
}

struct Sum : torch::autograd::Function<Sum> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x) {
    remember(context, communicator());
    return summed(communicator(), x);
  }
  // Every process's loss depends on this one's x.
  static tensor_list backward(AutogradContext* context, const tensor_list& gradients) {
    return {summed(recall(context), gradients[0])};
  }
};

struct GatherRows : torch::autograd::Function<GatherRows> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const std::vector<std::int64_t>& counts,
                            std::int64_t first) {
    Communicator& peers = communicator();
    remember(context, peers);
    context->saved_data["first"] = first;
    context->saved_data["count"] = x.size(0);
    // Filled up to the longest, because all must give the same shape.
    std::vector<std::int64_t> shape = x.sizes().vec();
    shape[0] = std::ranges::max(counts);
    const at::Tensor padded = torch::zeros(shape, x.options());
    padded.narrow(0, 0, x.size(0)).copy_(x);
    const at::Tensor all = peers.gather(padded);
    std::vector<at::Tensor> parts;
    for (std::size_t rank = 0; rank < counts.size(); ++rank) {
      parts.push_back(all[static_cast<std::int64_t>(rank)].narrow(0, 0, counts[rank]));
    }
    return torch::cat(parts);
  }
  static tensor_list backward(AutogradContext* context, const tensor_list& gradients) {
    const at::Tensor all = summed(recall(context), gradients[0]);
    const auto first = context->saved_data["first"].toInt(), count = context->saved_data["count"].toInt();
    return {all.narrow(0, first, count), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

void Communicator::barrier() { sum(torch::zeros({1})); }

Communicator& single_process() {
  static SingleProcess alone;
  return alone;
}

Communicator& communicator() { return current == nullptr ? single_process() : *current; }

CommunicatorScope::CommunicatorScope(Communicator& inner) : outer_(current) { current = &inner; }

CommunicatorScope::~CommunicatorScope() { current = outer_; }

Share share_of(std::int64_t count) {
  const std::int64_t rank = communicator().rank(), size = communicator().size();
  if (count < size) {
    throw Error(ErrorCode::kInvalidArgument,
                concat("[processes] ", size, " processes share a batch of ", count, " images; each needs one at least"),
                "start fewer processes, or choose a batch size that leaves no such rest of an epoch");
  }
  const std::int64_t first = count * rank / size;
  return {first, count * (rank + 1) / size - first};
}

at::Tensor sum_over_processes(const at::Tensor& x) { return communicator().size() == 1 ? x : Sum::apply(x); }

at::Tensor mean_over_processes(const at::Tensor& sum, const at::Tensor& count) {
  if (communicator().size() == 1) return sum / count;
  const at::Tensor both = sum_over_processes(torch::stack({sum, count.to(sum.scalar_type())}));
  return both[0] / both[1];
}

at::Tensor mean_over_processes(const at::Tensor& sum, std::int64_t count) {
  return mean_over_processes(sum, torch::full({}, static_cast<double>(count), sum.options()));
}

Gathered gather_rows(const at::Tensor& x) {
  Communicator& peers = communicator();
  if (peers.size() == 1) return {x, 0};
  const at::Tensor table = peers.gather(torch::full({1}, x.size(0), torch::kLong)).flatten();
  const std::vector<std::int64_t> counts(table.data_ptr<std::int64_t>(), table.data_ptr<std::int64_t>() + peers.size());
  std::int64_t first = 0;
  for (int rank = 0; rank < peers.rank(); ++rank) first += counts[static_cast<std::size_t>(rank)];
  return {GatherRows::apply(x, counts, first), first};
}

}  // namespace cmunet::nn
