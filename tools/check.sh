#!/usr/bin/env bash
# What CI runs, and `make test`: installs what is missing, builds everything, runs every test, says how it went.
#   tools/check.sh               release build, all tests (unit, parity, integration, lint)
#   tools/check.sh --sanitizers  then also the torch-free half under ASan + UBSan, TSan and clang-tidy, and libFuzzer
#                                for half a minute where clang is installed
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

with_sanitizers=0
case "${1:-}" in
  "") ;;
  --sanitizers) with_sanitizers=1 ;;
  *) echo "check: unknown option $1" >&2; exit 2 ;;
esac

tools/install-deps.sh --with-tests
jobs=$(tools/build_jobs.sh)

cmake --preset release -DCMUNET_TESTS=ON
cmake --build --preset release --parallel "$jobs"

# ctest ends with its summary: passed and failed, times per label, the names of what failed. What was skipped is said
# after it, and is a failure unless it is known why.
status=0
ctest --preset release --parallel "$(nproc)" || status=$?
tools/skipped_tests.sh build/release/Testing/Temporary/LastTest.log || status=1

if [ $with_sanitizers -eq 1 ]; then
  presets=(asan tsan tidy)
  if command -v clang++ >/dev/null; then presets+=(fuzz); else echo "check: no clang++, so no libFuzzer"; fi
  for preset in "${presets[@]}"; do
    echo "== $preset"
    cmake --preset $preset
    cmake --build --preset $preset --parallel "$jobs"
    [ $preset != tidy ] || continue
    ctest --preset $preset --parallel "$(nproc)" || status=$?
    tools/skipped_tests.sh build/$preset/Testing/Temporary/LastTest.log || status=1
  done
fi

if [ $status -eq 0 ]; then echo "check: everything passed"; else echo "check: FAILED, see the list above"; fi
exit $status
