#!/usr/bin/env bash
# Installs what cmunet needs on Debian 12, through apt alone. Quick when everything is there.
#   tools/install-deps.sh               what building and running needs
#   tools/install-deps.sh --with-tests  also what the tests compare against (Python references, a PACS)
#   tools/install-deps.sh --with-pacs   also what the node is tested against: a PACS and DICOM's command line tools
#   tools/install-deps.sh --with-fuzzer also clang, whose libFuzzer searches the readers of untrusted bytes
#   tools/install-deps.sh --check …     only says what is missing (exit 1 if anything is)
set -euo pipefail

packages=(
  build-essential cmake ninja-build ccache pkg-config file
  libtorch-dev libgloo-dev libopenblas0-openmp
  libopencv-core-dev libopencv-imgproc-dev libopencv-photo-dev
  libpng-dev libjpeg62-turbo-dev libtiff-dev libdcmtk-dev libopenjp2-7-dev libcpp-httplib-dev
  libhwy-dev libonnx-dev nlohmann-json3-dev libtomlplusplus-dev libcli11-dev libboost-math-dev libxxhash-dev
)
test_packages=(
  libgtest-dev libgmock-dev clang-format-14 clang-tidy-14
  python3-minimal python3-torch python3-numpy python3-scipy python3-skimage dicom3tools python3-pydicom
)
# Debian would start orthanc as a service when it installs it; the tests start one of their own.
pacs_packages=(dcmtk orthanc orthanc-dicomweb)
check=0
for argument in "$@"; do
  case "$argument" in
    --with-tests) packages+=("${test_packages[@]}" "${pacs_packages[@]}") ;;
    --with-pacs) packages+=("${pacs_packages[@]}") ;;
    --with-fuzzer) packages+=(clang) ;;
    --check) check=1 ;;
    *) echo "install-deps: unknown option $argument" >&2; exit 2 ;;
  esac
done

installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null |
  awk '$2 == "installed" {print $1}') || true  # dpkg-query fails when it knows nothing of a package
missing=()
for package in "${packages[@]}"; do
  grep -qx "$package" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ $check -eq 1 ]; then
  printf 'missing: %s\n' "${missing[*]}"
  exit 1
fi

if ! command -v apt-get >/dev/null; then
  printf 'install-deps: there is no apt-get here; install by hand: %s\n' "${missing[*]}" >&2
  exit 1
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install-deps: run as root, or install sudo" >&2; exit 1; }
  sudo="sudo"
fi
printf 'install-deps: installing %s\n' "${missing[*]}"
log=$(mktemp)
policy=/usr/sbin/policy-rc.d  # 101: no service is started while packages are installed
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
  $sudo chmod 755 $policy
  trap '$sudo rm -f $policy' EXIT
fi
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$log" 2>&1 ||
  { tail -n 20 "$log" >&2; exit 1; }
rm -f "$log"
