#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How fast pre-training is beside two other programs, and alone, for several lengths of busy waiting; images/s.
#   bench/shared_cores.sh build/release [ROUNDS]
# Wants a machine with two cores and nothing else to do.
set -euo pipefail
bin=$(cd "$1/bin" && pwd) rounds=${2:-3} work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
"$bin/cmunet" phantom --out phantoms --count 64 --size 128 --quiet >/dev/null
"$bin/cmunet" prepare --images phantoms/images --split pretrain --set prepare.size=128 --quiet --out store >/dev/null
sizes="--set model.base_width=16 --set pretrain.batch_size=16 --set pretrain.epochs=1000"
views="--set pretrain.views.view_size=96 --set pretrain.views.crop_size=112 --set pretrain.views.max_shift=15"

speed() {  # speed SETTING: the last figure of 25 seconds
  env "$1" timeout 25 "$bin/cmunet" pretrain --store store --method cm_unet $sizes $views --quiet --force \
    --out run >/dev/null 2>&1 || true
  grep -o '"images_per_second":[0-9.]*' run/metrics.jsonl | tail -1 | cut -d: -f2
}

# 300,000 is what libgomp takes by itself.
for beside in alone shared; do
  if [ $beside = shared ]; then for _ in 1 2; do sha256sum /dev/zero & done; fi
  for round in $(seq "$rounds"); do
    for setting in OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT={1000,10000,300000}; do
      echo "$beside round $round [$setting] $(speed "$setting")"
    done
  done
done
