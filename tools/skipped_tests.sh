#!/usr/bin/env bash
# Says which tests were skipped, and why; status 1 when one was for another reason than those below. ctest counts a
# skipped test as passed.
# Usage: skipped_tests.sh build/release/Testing/Temporary/LastTest.log
set -euo pipefail
log=${1:?usage: skipped_tests.sh LOG}

# Reasons that are nobody's fault: data that only some machines have, combinations that do not exist, another processor.
# A program or a Python module that is missing is none: tools/install-deps.sh --with-tests installs them all.
known=(
  'no data at *shared/data*'
  'no pictures at *shared/data*'
  'no ARCADE masks in *shared/data*'
  '*shared/data/* is not here'
  '*/sys/devices/* is not here'
  'this syntax has 8 bits'
  'this syntax has no signed values'
  'this syntax has no code streams'
  'only as the child of NodeKilled'
  'this processor has no *'
)
is_known() {
  local pattern
  # shellcheck disable=SC2053  # a pattern, so not quoted
  for pattern in "${known[@]}"; do [[ $1 == $pattern ]] && return 0; done
  return 1
}

# GoogleTest writes "FILE:LINE: Skipped", the reason on the next line, then "[  SKIPPED ] TEST (N ms)"; when a whole
# program is skipped, no test is named.
skipped=$(awk '/: Skipped$/ {getline reason; waits = 1; next}
               /^\[  SKIPPED \] .* \([0-9]+ ms\)$/ && waits {print $4 "\t" reason; waits = 0}
               /^\[-----/ && waits {print "all tests of one program\t" reason; waits = 0}' "$log")
[ -z "$skipped" ] && exit 0
status=0
echo "skipped tests:"
while IFS=$'\t' read -r test reason; do
  if is_known "$reason"; then
    echo "  $test: $reason"
  else
    echo "  $test: $reason  <- not expected here"
    status=1
  fi
done <<<"$skipped"
exit $status
