# SPDX-License-Identifier: Apache-2.0
"""A training step by our kernels, by LibTorch's and by Python's PyTorch, in turn, as ratios.

    python3 bench/train_step.py build/release/bin/train_step [--rounds 3] [--bf16] [--out-of-the-box]
        [--only unet16,unet64,cm_unet16]

Ratios are medians over the rounds of ratios within a round; a round runs every program once, and each reports the
median of its steps. A machine that others use as well slows both sides of a ratio. PyTorch is the one of the first
Python that has it, in its best setting here: two threads, OpenBLAS, freed memory kept; out of the box it gets Debian's
reference BLAS, if that is installed, and its own number of threads.
"""

import argparse
import glob
import json
import os
import statistics
import subprocess
import sys

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pytorch_step.py")
CASES = {
    "unet16": ["--base-width", "16", "--size", "256", "--repeat", "9"],
    "unet64": ["--base-width", "64", "--size", "256", "--repeat", "3"],
    "cm_unet16": ["--base-width", "16", "--size", "224", "--repeat", "5", "--cm-unet"],
    "cm_unet64": ["--base-width", "64", "--size", "224", "--repeat", "3", "--cm-unet"],
}


def run(command, environment):
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])["median_ms"]


def python_with_torch():
    for python in (sys.executable, "/usr/bin/python3"):
        done = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True,
                              check=False)
        if done.returncode == 0:
            print(f"peer: PyTorch {done.stdout.strip()} of {python}")
            return python
    print("peer: PyTorch is absent and left out")
    return None


def has_bf16():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        return any(name in file.read() for name in ("avx512_bf16", "amx_bf16"))


def programs(options):
    """Name, command and environment of everything that runs in a round."""
    ours, python = options.program, python_with_torch()
    waiting = {"GOMP_SPINCOUNT": "10000"}  # as cmunet sets it; PyTorch waits as its library does by itself
    found = {"native": ([ours, "--kernels", "native"], waiting), "libtorch": ([ours, "--kernels", "torch"], waiting)}
    if options.bf16 and not has_bf16():
        print("bf16 is left out: this processor has no instructions for it, and would take minutes for a step")
        options.bf16 = False
    if options.bf16:
        found["libtorch bf16"] = ([ours, "--kernels", "torch", "--bf16"], waiting)
    if python is not None:
        found["pytorch"] = ([python, PEER], {})
        if options.bf16:
            found["pytorch bf16"] = ([python, PEER, "--bf16"], {})
        if options.out_of_the_box:
            reference_blas = {"LD_LIBRARY_PATH": path for path in glob.glob("/usr/lib/*/blas")}
            found["pytorch out of the box"] = ([python, PEER, "--out-of-the-box"], reference_blas)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("program", help="build/release/bin/train_step")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bf16", action="store_true", help="also PyTorch and LibTorch under bfloat16 autocast")
    parser.add_argument("--out-of-the-box", action="store_true", help="also PyTorch as it starts by itself")
    parser.add_argument("--only", default="unet16,unet64,cm_unet16", help="cases: " + ",".join(CASES))
    options = parser.parse_args()
    peers = programs(options)
    print(f"{'case':10} {'program':23} {'step ms':>8} {'forward':>8} {'backward':>8} {'optimizer':>9}  native / it")
    for case in options.only.split(","):
        rounds = [{name: run(command + CASES[case], environment) for name, (command, environment) in peers.items()}
                  for _ in range(options.rounds)]
        for name in peers:
            times = {key: statistics.median(r[name][key] for r in rounds) for key in rounds[0][name]}
            ratio = statistics.median(r["native"]["step"] / r[name]["step"] for r in rounds)
            print(f"{case:10} {name:23} {times['step']:8.1f} {times['forward']:8.1f} {times['backward']:8.1f} "
                  f"{times['optimizer']:9.1f}  {ratio:.3f}", flush=True)


if __name__ == "__main__":
    main()
