// SPDX-License-Identifier: Apache-2.0
// Whoever runs the tasks of a layer: the engine's own threads, or those of the framework that trains.
#pragma once

#include <cstddef>
#include <functional>

namespace cmunet::kernels {

/// Called as task(index, thread).
using Task = std::function<void(std::size_t, std::size_t)>;

/// `run(count, task)` calls the task for every index in [0, count), each once, in any order, on thread
/// 0 … threads − 1, and returns when all are done. One caller at a time; tasks must not throw.
struct Workers {
  std::size_t threads = 1;
  std::function<void(std::size_t, const Task&)> run;
};

}  // namespace cmunet::kernels
