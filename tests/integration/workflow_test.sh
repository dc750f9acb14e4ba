#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The whole job from the command line on tiny synthetic images: every command, its files, its exit status.
# Usage: workflow_test.sh PATH/TO/cmunet
source "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

cat >tiny.toml <<'TOML'
[prepare]
size = 64
[model]
base_width = 2
[pretrain]
epochs = 2
batch_size = 4
lr = 1e-3
warmup_epochs = 0.5
[pretrain.views]
crop_size = 64
view_size = 48
max_shift = 15
[pretrain.cm_unet]
projector_hidden = 16
embedding = 8
[finetune]
epochs = 2
batch_size = 4
TOML

expect 0 "phantom" "$cmunet" phantom --out ph --count 16 --size 64 --field-mm 60 --seed 1
holds "16 images, masks and truths" test "$(ls ph/images ph/masks ph/truth | grep -c '^00')" -eq 48
expect 2 "phantom refuses a folder that is not empty" "$cmunet" phantom --out ph --count 1
says "folder ph is not empty"
expect 0 "prepare" \
  "$cmunet" prepare --images ph/images --masks ph/masks --split train=6,val=3,test=4 --config tiny.toml --out \
    store
expect 0 "phantoms without masks" "$cmunet" phantom --out more --count 4 --size 64 --field-mm 60 --seed 2
expect 0 "one folder is divided, the other is for pre-training" \
  "$cmunet" prepare --images ph/images --masks ph/masks --split train=9,val=3,test=4 \
    --images more/images --masks none --split pretrain --config tiny.toml --out mixed --json
holds "each as it was told" json out.txt "{s: (n['images'], n['labelled']) for s, n in \
  d['statistics']['splits'].items()} == {'pretrain': (4, 0), 'train': (9, 9), 'val': (3, 3), 'test': (4, 4)}"
expect 2 "two rules would divide one set twice" \
  "$cmunet" prepare --images ph/images --split train=0.7,test=0.3 --images more/images --split 79:1 --out bad
holds "that is said" grep -q "2 --split are rules" err.txt
printf 'path\nph/images/0000.png\n' >list.csv
expect 2 "a table takes one split" "$cmunet" prepare --manifest list.csv --split train --split val --out bad
says "2 --split were given; this source takes one"
expect 2 "prepare --dry-run notices that the folder is taken" \
  "$cmunet" prepare --images ph/images --split train --out store --dry-run
expect 0 "doctor" "$cmunet" doctor store
holds "it finds nothing wrong" grep -q "store: 0 errors" out.txt
mkdir -p sick/images && head -c 1000 ph/images/0000.png >sick/images/0000.png
expect 3 "doctor on a picture that is cut short" "$cmunet" doctor sick --json
holds "its findings are the one document" json out.txt "d['errors'] == 1 and d['findings']"
holds "the error is on stderr" grep -q "cmunet: error: .doctor. sick has 1 errors" err.txt
cp -r store altered
python3 -c "
with open('altered/images-00000.safetensors', 'r+b') as f:
    f.seek(-4, 2)
    low_byte = f.read(1)[0]
    f.seek(-4, 2)
    f.write(bytes([low_byte ^ 1]))"
expect 3 "doctor on a store with another pixel" "$cmunet" doctor altered --json
holds "the image is named" json out.txt "d['errors'] == 1 and d['findings'][0]['level'] == 'error' and \
  'does not match its hash' in d['findings'][0]['message']"
mkdir -p half/images half/masks
cp ph/images/000[01].png half/images/ && cp ph/masks/0000.png half/masks/
expect 3 "doctor on images without all masks" "$cmunet" doctor half --json
holds "the image is named" json out.txt "d['errors'] == 1 and d['findings'][0]['what'] == 'missing_mask' and \
  d['findings'][0]['where'].endswith('0001.png')"
expect 0 "info on a store" "$cmunet" info store --json
holds "info says 16 images" json out.txt "d['images'] == 16 and d['splits']['test']['labelled'] == 4"

expect 0 "pretrain --dry-run" \
  "$cmunet" pretrain --store store --method cm_unet --config tiny.toml --out pre --dry-run --json
holds "the plan has steps and memory" json out.txt "d['steps'] == 4 and d['memory_estimate_gib'] > 0"
expect 0 "pretrain" "$cmunet" pretrain --store store --method cm_unet --config tiny.toml --out pre
for file in config.toml metrics.jsonl run.json checkpoints/last.safetensors checkpoints/last.state.safetensors; do
  holds "pre/$file" test -s "pre/$file"
done
holds "an event file" bash -c 'ls pre/events.out.tfevents.*'
holds "a picture of reconstructions" bash -c 'ls pre/pictures/*.png'
expect 0 "pretrain --resume of a finished run" \
  "$cmunet" pretrain --store store --method cm_unet --config tiny.toml --out pre --resume
expect 2 "resume with other options" \
  "$cmunet" pretrain --store store --method cm_unet --config tiny.toml --set lr=0.5 --out pre --resume
says "option pretrain/lr is 0.5 but the run began with 0.001"
expect 6 "a time limit saves and exits 6" \
  "$cmunet" pretrain --store store --method cm_unet --config tiny.toml --set max_minutes=1e-6 --out limited
expect 0 "and the run can be resumed" \
  "$cmunet" pretrain --store store --method cm_unet --config tiny.toml --out limited --resume
holds "to the same weights" cmp pre/checkpoints/last.state.safetensors limited/checkpoints/last.state.safetensors

expect 0 "finetune" "$cmunet" finetune --store store --init pre --labels 4 --config tiny.toml --out fine
holds "which tensors were loaded is recorded" \
  json fine/run.json "len(d['init']['loaded']) > 100 and d['init']['new'] == ['conv_last.weight', 'conv_last.bias']"
expect 0 "info on a run" "$cmunet" info fine --json
holds "info counts parameters" json out.txt "d['parameters']['total'] > 30000 and d['gflop_per_image'] > 0"

expect 0 "evaluate a model" "$cmunet" evaluate --model fine --store store --split test --out eval --json
holds "the document has the promised keys" \
  json out.txt "set(d['metrics']['dice']) >= {'mean','sd','ci95','n','undefined'} and \
    len(d['images']) == 4 and set(d['pooled']) >= {'dice','iou'} and d['source']['seed'] == 42"
for file in evaluation.csv evaluation.json report.html; do holds "eval/$file" test -s "eval/$file"; done
expect 0 "evaluate with LibTorch" \
  "$cmunet" evaluate --model fine --store store --split test --device cpu --json
expect 0 "postprocess" "$cmunet" postprocess --model fine --store store --out chosen.json --json
holds "it is chosen on validation images" \
  json out.txt "d['split'] == 'val' and d['images'] == 3 and len(d['steps']) == 6"
expect 2 "postprocess looks before it works" \
  "$cmunet" postprocess --model fine --store store --out nowhere/chosen.json --dry-run
expect 2 "postprocess has no choice of split" \
  "$cmunet" postprocess --model fine --store store --split test --out chosen2.json
says "not expected: test --split"
expect 0 "predict with what was chosen" \
  "$cmunet" predict --model fine --postprocess chosen.json --out chosen_masks ph/images/0000.png
expect 0 "evaluate with what was chosen" \
  "$cmunet" evaluate --model fine --store store --split val --postprocess chosen.json --json
expect 0 "compare engines" "$cmunet" info --check-engine fine ph/images/0000.png --json
holds "native and reference agree" json out.txt "d['max_difference'] < 1e-3"
expect 0 "compare engines with LibTorch" "$cmunet" info --check-engine fine ph/images/0000.png --device cpu --json
holds "LibTorch and native agree" json out.txt "d['max_difference'] < 1e-3 and 'torch' in d['engines'][0]"
expect 0 "LibTorch in bf16" "$cmunet" info --check-engine fine ph/images/0000.png --device cpu --precision bf16 --json
holds "it says so, and is near" json out.txt "'bf16' in d['engines'][0] and 1e-6 < d['max_difference'] < 0.1"
expect 2 "a precision is LibTorch's" "$cmunet" predict --model fine --out masks ph/images/0000.png --precision bf16
expect 3 "fp16 wants a GPU" "$cmunet" info --check-engine fine ph/images/0000.png --device cpu --precision fp16
says "no convolutions in fp16 on a CPU"
expect 0 "predict" \
  "$cmunet" predict --model fine --out masks --overlay --probabilities ph/images/0000.png ph/images/0001.png
for file in 0000.png 0000_overlay.png 0000_probability.png 0001.png; do holds "masks/$file" test -s "masks/$file"; done
echo "no picture" >broken.png
expect 3 "predict skips a bad file, does the rest, exits 3" \
  "$cmunet" predict --model fine --out masks2 broken.png ph/images/0002.png
says "skipped broken.png"
holds "the good file is done" test -s masks2/0002.png
expect 3 "the same with --json" "$cmunet" predict --model fine --out masks2 --force --json broken.png ph/images/0002.png
holds "it prints one document" json out.txt "len(d['images']) == 1 and len(d['failed']) == 1"
holds "runs have a page" grep -q "Best Dice on validation" fine/report.html
holds "the page shows reconstructions" grep -q "data:image/png" pre/report.html

# Every method, through the benchmark: two steps each, then fine-tuning on two images, then the test images.
{
  sed '/^\[pretrain.views\]/,/^\[finetune\]/{/^\[finetune\]/!d}' tiny.toml
  printf '[pretrain.%s.crop]\nsize = 48\n' mae spark moco_v2 models_genesis
  sed -n '/^\[pretrain.views\]/,/^\[finetune\]/{/^\[finetune\]/!p}' tiny.toml
  printf '[benchmark]\nmethods = ["scratch", "mae", "spark", "moco_v2", "models_genesis", "guided"]\n'
  printf 'labels = [2]\nseeds = [1]\n[benchmark.variants]\nguided = ["pretrain.cm_unet.vessel_guidance=1.0"]\n'
} >methods.toml
bench=("$cmunet" benchmark --store store --config methods.toml --out bench)
expect 0 "benchmark --dry-run" "${bench[@]}" --dry-run --json
holds "it plans 17 runs" json out.txt "len(d['jobs']) == 17 and not any(j['done'] for j in d['jobs'])"
# What a job would refuse is refused before the first.
sed 's/vessel_guidance/vessel_guidence/' methods.toml >variant.toml
sed 's/^\[finetune\]/[finetune]\nlearning_rate = 1/' methods.toml >section.toml
for file in variant section; do
  for dry in "" --dry-run; do
    expect 2 "benchmark $dry with a misspelt key" \
      "$cmunet" benchmark --store store --config $file.toml --out misspelt $dry
    holds "and says so in one line" test "$(wc -l <err.txt)" -eq 1
  done
done
holds "which names file and key" grep -q "section.toml.*finetune.learning_rate" err.txt
holds "nothing was begun" test ! -e misspelt
expect 2 "tune with a misspelt key" "$cmunet" tune --store store --set finetune.learning_rate=1 --out misspelt
printf '[tune]\nlearning_rate = [1e-3]\n' >grid.toml
expect 2 "tune --dry-run with one in the grid" \
  "$cmunet" tune --store store --config grid.toml --out misspelt --dry-run
holds "which is named" grep -q "finetune.learning_rate" err.txt
holds "nothing was begun there" test ! -e misspelt
cp -r store "a store"
expect 0 "benchmark with a space in a name" \
  "$cmunet" benchmark --store "a store" --config methods.toml --out bench --dry-run --json
holds "prints commands that can be pasted" json out.txt "all(\"--store 'a store'\" in j['command'] for j in d['jobs'])"
expect 0 "benchmark" "${bench[@]}" --json
holds "all six methods were fine-tuned" json out.txt \
  "len(d['cells']) == 6 and len(d['comparisons']) == 5 and d['figures_of'] == 'val'"
holds "MoCo hands on its encoder alone" json bench/finetune/moco_v2-labels2-seed1/run.json \
  "len(d['init']['loaded']) == 70 and 'up_conv1.up_sample.weight' in d['init']['new']"
rm bench/finetune/mae-labels2-seed1/run.json
rm -f err.txt
flock bench/claims/finetune-mae-labels2-seed1.json \
  timeout 100 bash -c 'until grep -qs "waiting for others: finetune/mae-labels2-seed1" err.txt; do sleep 0.2; done' &
expect 0 "benchmark --test waits for others and finishes what is missing" "${bench[@]}" --test --json
holds "it said for whom" wait $!
holds "and compares with the first method" json out.txt \
  "len(d['comparisons']) == 5 and len(d['cells']) == 6 and d['figures_of'] == 'test'"
holds "bench/report.html" grep -q "Differences from scratch" bench/report.html
holds "it shows what pre-training rebuilds and how the models segment" \
  test "$(grep -o '<img' bench/report.html | wc -l)" -gt 15
expect 0 "benchmark --report does nothing else" "${bench[@]}" --report --json
sed -i 's/^base_width = .*/base_width = 4/' methods.toml
expect 2 "a benchmark keeps its settings" "${bench[@]}"
says "begun with other settings than methods.toml"
expect 2 "and so does its report" "${bench[@]}" --report
says "begun with other settings than methods.toml"
sed -i 's/^base_width = .*/base_width = 2/' methods.toml
expect 0 "prepare other data" \
  "$cmunet" prepare --images ph/images --masks ph/masks --split train=7,val=3,test=4 --config tiny.toml --out store2
expect 2 "it keeps its data" "$cmunet" benchmark --store store2 --config methods.toml --out bench
says "begun with other data than --store names"
expect 3 "there must be a benchmark to report" \
  "$cmunet" benchmark --store store --config methods.toml --out none --report
says "there is no benchmark.toml in it"
sed 's/^labels = .*/labels = [99]/' methods.toml >many.toml
expect 2 "there must be as many labels" "$cmunet" benchmark --store store --config many.toml --out many
says "the train split of store has 6 labelled images"
holds "and nothing was trained" test ! -e many

# A run that is killed is a failed job and not the end of the others; one that diverges is a result.
sed 's/^methods = .*/methods = ["scratch"]/; s/^seeds = .*/seeds = [1, 2]/; /^\[benchmark.variants\]/,$d' methods.toml \
  >killed.toml
# The whole path: it tells this run from those of another test beside it.
killed=("$cmunet" benchmark --store store --config killed.toml --out "$dir/killed")
for _ in $(seq 2000); do
  pkill -KILL -f -- "--out $dir/killed/finetune/scratch-labels2-seed1" && break
  sleep 0.01
done &
expect 3 "a killed run" "${killed[@]}"
wait
holds "is named with its signal" grep -q "finetune/scratch-labels2-seed1 failed with status 137: signal 9" err.txt
holds "the other one was trained" test -s killed/val/scratch-labels2-seed2/evaluation.json
expect 0 "and the same command makes up for it" "${killed[@]}" --json
holds "with both cells" json out.txt "len(d['cells']) == 2"
sed 's/^\[finetune\]/[finetune]\nlr = 1e30/' killed.toml >diverge.toml
expect 0 "a benchmark whose runs diverge" "$cmunet" benchmark --store store --config diverge.toml --out diverged --json
holds "says so" json out.txt "len(d['diverged']) == 2 and not d['cells']"
holds "also on its page" grep -q "Diverged, the loss became infinite" diverged/report.html
expect 0 "compare" "$cmunet" compare bench/test/scratch-labels2-seed1 bench/test/mae-labels2-seed1 --json
holds "compare pairs the test images" json out.txt "d['comparisons'][0]['images'] == 4"
expect 2 "compare needs two" "$cmunet" compare bench/test/scratch-labels2-seed1
says "there is one evaluation"
expect 2 "compare needs the same images" "$cmunet" compare bench/test/scratch-labels2-seed1 bench/val/mae-labels2-seed1
says "expected the same images"
expect 2 "compare knows its measures" \
  "$cmunet" compare bench/test/scratch-labels2-seed1 bench/test/mae-labels2-seed1 --metric id
says "id not in {dice,"
expect 3 "compare says what to do about a run" "$cmunet" compare bench/finetune/mae-labels2-seed1 fine
holds "namely to evaluate it" grep -q "cmunet evaluate --model bench/finetune/mae-labels2-seed1" err.txt

# LibTorch and the native engine agree: the pixels whose probability is nearest to one half may differ, and no others.
expect 0 "predict with LibTorch" \
  "$cmunet" predict --model fine --out torch_masks --probabilities --device cpu ph/images/0002.png
expect 0 "predict natively" "$cmunet" predict --model fine --out native_masks --probabilities ph/images/0002.png
holds "both engines give the same probabilities" /usr/bin/python3 - <<'PYTHON'
from skimage import io
import numpy as np
a, b = (io.imread(f"{f}_masks/0002_probability.png").astype(int) for f in ("torch", "native"))
assert a.max() > a.min() and np.abs(a - b).max() <= 1
PYTHON
expect 0 "export" "$cmunet" export --model fine --onnx fine.onnx
holds "the ONNX file names its output" grep -q vessel_probability fine.onnx
expect 2 "export does not overwrite" "$cmunet" export --model fine --onnx fine.onnx
says "fine.onnx exists"
expect 2 "export into a folder that is not there" "$cmunet" export --model fine --onnx nowhere/fine.onnx --dry-run
expect 2 "a pre-trained network is no segmentation model" "$cmunet" export --model pre --onnx pre.onnx
says "pre is a pretrained network"
expect 0 "half precision" "$cmunet" export --model fine --half half.safetensors
expect 0 "predict with half precision" "$cmunet" predict --model half.safetensors --out half_masks ph/images/0002.png
expect 0 "LibTorch reads half precision" \
  "$cmunet" predict --model half.safetensors --out half_torch --device cpu ph/images/0002.png
holds "both read the same weights" cmp half_masks/0002.png half_torch/0002.png
expect 2 "export of nothing" "$cmunet" export --model fine
says "there is nothing to write"
expect 0 "predict with the model that comes along" "$cmunet" predict --out default_masks ph/images/0002.png
expect 0 "bench" "$cmunet" bench --model fine --size 32 --repeat 2 --layers --json
holds "each layer is timed" json out.txt "len(d['results'][0]['layers']) == 23"
signature=$(python3 -c "import json; print(json.load(open('out.txt'))['results'][0]['signature'])")
expect 0 "bench with another number of threads" "$cmunet" bench --model fine --size 32 --repeat 1 --threads 1 --json
holds "what is computed is the same" json out.txt "d['results'][0]['signature'] == '$signature'"

# The demo as it is, but for two steps of each training.
mkdir short && cp "$cmunet" short/
cat >short/cmunet-train <<SCRIPT
#!/usr/bin/env bash
echo "\$*" >>words.txt
case \$1 in
  pretrain) less="--set pretrain.steps=2 --set pretrain.warmup_epochs=0" ;;
  finetune) less="--set finetune.steps=2 --set finetune.warmup_steps=0 --set finetune.validate_every_steps=2" ;;
esac
exec "$(dirname "$cmunet")/cmunet-train" "\$@" \$less
SCRIPT
chmod +x short/cmunet-train
expect 0 "demo" short/cmunet demo --out demo --json
holds "it ran eight commands" json out.txt "len(d['commands']) == 8 and set(d['test_dice']) == {'scratch', 'cm_unet'}"
holds "it trained three times" test "$(cut -d ' ' -f 1 words.txt | tr '\n' ' ')" = "pretrain finetune finetune "
holds "scratch begins with nothing" json demo/scratch/run.json "d['init'] is None"
holds "the other with what was pre-trained" json demo/cm_unet/run.json "len(d['init']['loaded']) > 100"
holds "its page has three images twice and a reconstruction" test "$(grep -o '<img' demo/report.html | wc -l)" -eq 7

mkdir target && cp ph/masks/0000.png ph/masks/0001.png target/
mkdir pred && cp masks/0000.png masks/0001.png pred/
expect 0 "evaluate two folders" "$cmunet" evaluate --pred pred --target target --json

# What goes wrong is said in one line, with the right status, and leaves nothing behind.
expect 2 "unknown config key" "$cmunet" finetune --store store --config tiny.toml --set finetune.learning=1 --out bad
says "unknown key 'finetune.learning'"
expect 2 "wrong type" "$cmunet" finetune --store store --config tiny.toml --set finetune.lr=fast --out bad
says "expected a number"
expect 3 "missing store" "$cmunet" finetune --store nowhere --config tiny.toml --out bad
says "nowhere is no store"
expect 2 "more labels than there are" "$cmunet" finetune --store store --labels 99 --config tiny.toml --out bad
says "the train split has 6 labelled images"
expect 2 "weights of another width" \
  "$cmunet" finetune --store store --init pre --config tiny.toml --set base_width=4 --out bad
says "base_width 2 but model.base_width is 4"
expect 2 "unknown command" "$cmunet" segment
says "no command 'segment'"
expect 2 "unknown command, for scripts" "$cmunet" segment --json
holds "the answer is a document" json out.txt "d['error']['code'] == 'invalid argument'"
printf '[evaluate]\nseed = 1\n' >nobodys.toml
expect 2 "a section that nobody reads" "$cmunet" finetune --store store --config nobodys.toml --out bad
mkdir alone && cp "$cmunet" alone/
expect 3 "without the training program" alone/cmunet pretrain --json
holds "the answer names the package" json out.txt "'install the package cmunet-train' in d['error']['message']"
expect 3 "demo looks for it first" alone/cmunet demo --out bad
holds "and makes no folder" test ! -e bad
expect 3 "a picture that is cut short" \
  bash -c "mkdir cut && head -c 1000 ph/images/0000.png >cut/a.png && '$cmunet' prepare --images cut --out bad"
says "the file ends too early"
for command in tune "benchmark --config methods.toml"; do
  expect 3 "$command without a store" "$cmunet" $command --store nowhere --out bad
  holds "that is one line" test "$(wc -l <err.txt)" -eq 1
done
expect 2 "no such split" "$cmunet" evaluate --model fine --store store --split training
says "[split] 'training'"
holds "nothing half-written" test ! -e bad
head -c 2000 fine/checkpoints/best.safetensors >cut.safetensors
expect 3 "truncated weights" "$cmunet" predict --model cut.safetensors --out cutout ph/images/0000.png
says "the file is damaged, truncated"
expect 3 "a model that is not there" "$cmunet" predict --model nothing --out cutout ph/images/0000.png
says "nothing does not exist"
expect 3 "a store of a newer format" \
  bash -c "cp -r store newer && sed -i 's/\"version\": 1/\"version\": 9/' newer/manifest.json && '$cmunet' info newer"
says "has format version 9"
expect 3 "unwritable place" "$cmunet" phantom --out /proc/cmunet --count 1
says "cannot create folder /proc/cmunet"
"$cmunet" finetune --store nowhere --out bad 2>err.txt
holds "the error is one line" test "$(wc -l <err.txt)" -eq 1
for text in "$("$cmunet" --help)" "$("$cmunet" predict --help)" "$(cat eval/report.html eval/evaluation.json)" \
  "$(cat masks/predictions.json)"; do
  holds "not for clinical use is said" grep -q "not for clinical use" <<<"$text"
done

finish
