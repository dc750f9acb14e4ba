#!/usr/bin/env bash
# The native engine beside ONNX Runtime, alone where node or its packages are absent, and one picture from the shell.
#   bench/prediction.sh build/release/bin/cmunet
set -euo pipefail
cmunet=$(realpath "${1:?usage: bench/prediction.sh CMUNET}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if command -v npm >/dev/null; then (cd bench && npm install --ignore-scripts) || true; fi
pictures=build/bench-phantoms
"$cmunet" phantom --out $pictures --count 24 --size 512 --force --quiet
if command -v node >/dev/null; then
  node bench/onnxruntime.mjs speed "$cmunet"
  for base in 16 64; do node bench/onnxruntime.mjs layers "$cmunet" $base 512; done
  node bench/onnxruntime.mjs memory "$cmunet"
  real=../shared/data/arcade_256/train/images  # prepared angiograms, where they are
  if [ -d $real ]; then
    node bench/onnxruntime.mjs agree "$cmunet" models/coronary-small.safetensors $real 300
  else
    "$cmunet" phantom --out $pictures-256 --count 24 --size 256 --force --quiet
    node bench/onnxruntime.mjs agree "$cmunet" models/coronary-small.safetensors $pictures-256/images 24
  fi
else
  echo "peer: ONNX Runtime is left out, node is absent"
  for base in 16 64; do "$cmunet" bench --base-width $base --layers; done
fi

echo "cmunet predict on one picture of 512x512, from start to files written, s:"
for _ in 1 2 3 4 5; do
  start=$(date +%s.%N)
  "$cmunet" predict --force --quiet --out $pictures-masks $pictures/images/0000.png >/dev/null
  date +"%s.%N $start" | awk '{printf "  %.2f\n", $1 - $2}'
done
