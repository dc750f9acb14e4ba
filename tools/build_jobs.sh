#!/usr/bin/env bash
# Prints how many compilers may run at once: one per core, but only as many as memory holds (1.4 GB each, the LibTorch
# half's appetite).
set -euo pipefail
cores=$(nproc)
memory_kb=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)
if [ -r /sys/fs/cgroup/memory.max ]; then
  limit=$(cat /sys/fs/cgroup/memory.max)
  if [ "$limit" != max ] && [ $((limit / 1024)) -lt "$memory_kb" ]; then memory_kb=$((limit / 1024)); fi
fi
jobs=$((memory_kb / 1400000))
if [ "$jobs" -gt "$cores" ]; then jobs=$cores; fi
if [ "$jobs" -lt 1 ]; then jobs=1; fi
echo "$jobs"
