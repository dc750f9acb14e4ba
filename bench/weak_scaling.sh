#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Images per second of one process with one thread, and of two such processes that share a batch twice as large:
# fine-tuning at 256×256, 4 images per process. Alternates, and takes medians.
#   bench/weak_scaling.sh BUILD [ROUNDS] [BASE_WIDTH]
set -euo pipefail
bin=$(realpath "$1")/bin
rounds=${2:-5}
width=${3:-16}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export OMP_WAIT_POLICY=PASSIVE

"$bin/cmunet" phantom --out ph --count 16 --size 256 --seed 1 --quiet
printf '[prepare]\nsize = 256\n[model]\nbase_width = %d\n[finetune]\nsteps = 6\n' "$width" >run.toml
"$bin/cmunet" prepare --images ph/images --masks ph/masks --split train=16 --config run.toml --out store \
  --quiet >/dev/null

# run PROCESSES -> images per second
run() {
  local pids=() rank
  rm -rf out meeting
  for ((rank = 0; rank < $1; rank++)); do
    RANK=$rank WORLD_SIZE=$1 LOCAL_WORLD_SIZE=$1 CMUNET_MEETING_FILE=$dir/meeting \
      "$bin/cmunet-train" finetune --store store --out out \
      --config run.toml --set finetune.batch_size=$((4 * $1)) --threads 1 --quiet >/dev/null &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
  python3 -c 'import json; print(json.load(open("out/run.json"))["images_per_second"])'
}

for ((round = 0; round < rounds; round++)); do
  run 1 >>one
  run 2 >>two
done
python3 - <<'PYTHON'
from statistics import median
one, two = ([float(line) for line in open(name)] for name in ("one", "two"))
ratios = sorted(b / a for a, b in zip(one, two))
print(f"1 process: {median(one):.2f} images/s, 2 processes: {median(two):.2f} images/s (medians of {len(one)})")
print(f"ratio: {median(ratios):.2f}, from {ratios[0]:.2f} to {ratios[-1]:.2f}; 2.00 would be perfect")
PYTHON
