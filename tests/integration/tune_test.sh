#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `cmunet tune` on tiny synthetic images: killed twice and continued it ends as an uninterrupted search does, byte for
# byte, and it does so when val and test hold nonsense.
# Usage: tune_test.sh PATH/TO/cmunet
source "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

cat >tune.toml <<'TOML'
[prepare]
size = 64
[model]
base_width = 2
[pretrain]
method = "mae"
steps = 2
batch_size = 4
[pretrain.mae.crop]
size = 48
[finetune]
steps = 120
validate_every_steps = 10
seed = 5
[tune]
folds = 3
lr = [1e-2, 1e-5, 1e30]
batch_size = [2]
TOML
expect 0 "phantom" "$cmunet" phantom --out ph --count 16 --size 64 --field-mm 60 --seed 1
expect 0 "prepare" \
  "$cmunet" prepare --images ph/images --masks ph/masks --split train=8,val=3,test=3 --config tune.toml --out store
expect 0 "pretrain" "$cmunet" pretrain --store store --config tune.toml --out pre --threads 1
tune=("$cmunet" tune --config tune.toml --init pre --labels 6 --threads 1)

"${tune[@]}" --store store --out whole --dry-run --json >plan.json
holds "--dry-run plans nine runs" json plan.json "len(d['runs']) == 9"
holds "nothing was written" test ! -e whole
expect 0 "tune" "${tune[@]}" --store store --out whole
cp err.txt log.txt
holds "the table grew" grep -q "lr=0.01: Dice 0\.[0-9]* ± 0\.[0-9]* at step" log.txt
holds "divergence is said" grep -q "lr=1e+30: diverged" log.txt
holds "the result" json whole/tune.json "d['chosen']['values']['lr'] == 0.01 and d['chosen']['steps'] % 10 == 0 and \
  len(d['settings']) == 3 and d['settings'][0]['folds_done'] == 3 and 'not for clinical use' in d['disclaimer']"
holds "the final model has all six images and the chosen steps" json whole/final/run.json \
  "d['images'] == 6 and d['validation_images'] == 0 and d['exit'] == 'finished' and \
   d['steps'] == json.load(open('whole/tune.json'))['chosen']['steps'] and d['init']['method'] == 'mae'"
holds "folds are of the six" json "whole/folds/batch_size=2,lr=0.01/fold2/run.json" \
  "d['images'] == 4 and set(d['validation_ids']) | set(d['image_ids']) == \
   set(json.load(open('whole/final/run.json'))['image_ids'])"
holds "every fold begins with the pre-trained weights" json "whole/folds/batch_size=2,lr=0.01/fold3/run.json" \
  "len(d['init']['loaded']) > 100 and d['init']['new'] == ['conv_last.weight', 'conv_last.bias']"
holds "folds leave no weights behind" test ! -e "whole/folds/batch_size=2,lr=0.01/fold1/checkpoints"
holds "a page" grep -q "Cross-validated Dice over lr" whole/report.html
expect 0 "the model can be used" "$cmunet" predict --model whole/final --out masks ph/images/0001.png

# Val and test become nonsense; the search is killed with SIGKILL and with SIGTERM, and continued.
holds "spoil val and test" /usr/bin/python3 - <<'PYTHON'
import json, shutil, struct
import numpy as np
shutil.copytree("store", "spoilt")
rows = json.load(open("spoilt/manifest.json"))["images"]
for name, dtype, value in (("images", np.float32, np.nan), ("masks", np.uint8, 1)):
    path = f"spoilt/{name}-00000.safetensors"
    data = bytearray(open(path, "rb").read())
    start = 8 + struct.unpack("<Q", data[:8])[0]
    array = np.frombuffer(data, dtype, offset=start).reshape(len(rows), -1)
    for i, row in enumerate(rows):
        if row["split"] in ("val", "test"):
            array[i] = value
    open(path, "wb").write(data)
PYTHON
interrupted() {  # interrupted SIGNAL FILE: kills the search when FILE is there
  "${tune[@]}" --store spoilt --out parts >out.txt 2>err.txt &
  local pid=$!
  for _ in $(seq 600); do
    [ -e "$2" ] && break
    sleep 0.05
  done
  kill "-$1" $pid
  wait $pid
}
interrupted KILL "parts/folds/batch_size=2,lr=0.01/fold1/metrics.jsonl"
holds "it was killed before its end" test ! -e parts/final/run.json
interrupted TERM "parts/folds/batch_size=2,lr=1e-05/fold1/metrics.jsonl"
status=$?
holds "SIGTERM ends it with status 6" test $status -eq 6
expect 0 "it continues" "${tune[@]}" --store spoilt --out parts
holds "to the same table" cmp whole/tune.csv parts/tune.csv
holds "and to the same weights" cmp whole/final/checkpoints/last.state.safetensors \
  parts/final/checkpoints/last.state.safetensors
touch marker
expect 0 "a finished search has nothing to do" "${tune[@]}" --store spoilt --out parts
holds "and did nothing" test ! parts/final/run.json -nt marker
sed -i 's/^steps = 120/steps = 50/' tune.toml
expect 2 "a folder keeps its settings" "${tune[@]}" --store spoilt --out parts
says "was begun with other data or settings"
sed -i 's/^steps = 50/steps = 120/' tune.toml
sed -i.kept 's/"content_hash": "./"content_hash": "x/' spoilt/manifest.json
expect 2 "and its store, whatever path it has" "${tune[@]}" --store spoilt --out parts
says "was begun with other data or settings"
mv spoilt/manifest.json.kept spoilt/manifest.json
expect 0 "pretrain with another seed" \
  "$cmunet" pretrain --store store --config tune.toml --out pre --threads 1 --force --seed 7
expect 2 "and its initial weights" "${tune[@]}" --store spoilt --out parts
says "was begun with other data or settings"

finish
