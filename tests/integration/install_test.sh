#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` copies works away from the source and the build: the programs find each other and the model.
# Usage: install_test.sh PATH/TO/BUILD PATH/TO/cmake WITH_TRAINING (1: cmunet-train was built, 0: it was not)
build=$1 cmake=$2 with_training=$3
source "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

expect 0 "install" "$cmake" --install "$build" --prefix "$dir/usr"
cmunet=$dir/usr/bin/cmunet
expect 0 "phantom" "$cmunet" phantom --out ph --count 1 --size 128 --seed 3
expect 0 "the model that comes along is found" "$cmunet" predict --out result ph/images --dry-run --json
holds "the installed one" grep -q "$dir/usr/share/cmunet/coronary-small.safetensors" out.txt
expect 0 "and predicts" "$cmunet" predict --out result ph/images
holds "a mask" test -s result/0000.png
if [ "$with_training" -eq 1 ]; then
  holds "the training program" test -x usr/bin/cmunet-train
  expect 0 "the training program, found by cmunet" "$cmunet" pretrain --help
  holds "its help" grep -q -- --resume out.txt
fi
holds "the unit finds the program below /usr and below /usr/local" \
  grep -q '^ExecStart=cmunet node' usr/lib/systemd/system/cmunet-node.service
for script in postinst prerm postrm; do
  holds "the package's $script" sh -n "$(dirname "${BASH_SOURCE[0]}")/../../packaging/deb/$script"
done
for file in lib/systemd/system/cmunet-node.service share/doc/cmunet/LICENSE \
  share/doc/cmunet/configs/{arcade_benchmark,arcade_small,coronary_small,paper}.toml; do
  holds "$file" test -s "usr/$file"
done
# Links into the source lead nowhere here; HACKING.md is full of them.
pages=$(find usr/share/doc/cmunet -name '*.md' ! -name HACKING.md)
holds "at least ten pages" test "$(wc -l <<<"$pages")" -ge 10
for page in $pages; do
  for link in $(grep -oP '\]\(\K(?!https?:|#|\.\./\.\./(src|tests)/)[^)#]+' "$page"); do
    holds "the link to $link in $page" test -e "$(dirname "$page")/$link"
  done
done
finish
