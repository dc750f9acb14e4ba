# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# For tests of the command line, sourced with the program as $1: $cmunet, an empty working folder that goes away at the
# end, and checks that count failures instead of stopping at the first.
set -u
cmunet=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failures=0

# expect STATUS WHAT COMMAND…: runs it quietly, out.txt and err.txt hold what it wrote, and compares the exit status.
expect() {
  local status=$1 what=$2
  shift 2
  "$@" >out.txt 2>err.txt
  local got=$?
  if [ $got -ne "$status" ]; then
    echo "FAILED: $what: exit $got instead of $status"
    sed 's/^/    /' err.txt | tail -n 3
    failures=$((failures + 1))
  fi
}
# holds WHAT COMMAND…: the command must succeed.
holds() {
  local what=$1
  shift
  "$@" >/dev/null 2>&1 || { echo "FAILED: $what"; failures=$((failures + 1)); }
}
# says TEXT: the command that `expect` ran last wrote so to standard error. Many causes share an exit status.
says() { holds "it says '$1'" grep -qF -- "$1" err.txt; }
# json FILE CONDITION: of the document d, in Python.
json() { python3 -c "import json,sys; d=json.load(open('$1')); sys.exit(0 if ($2) else 1)"; }
# finish: the last line of a test. The number of failures is no exit status: that of 256 would be 0.
finish() {
  if [ $failures -eq 0 ]; then echo "1 passed, 0 failed"; exit 0; fi
  echo "$failures checks failed"
  exit 1
}
