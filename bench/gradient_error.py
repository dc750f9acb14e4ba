#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How exact the gradients of one fine-tuning step are, by arithmetic and kernels, against double precision.

    bench/gradient_error.py build/release/bin/cmunet STORE [configs/arcade_benchmark.toml]

One step from the same weights on the same batch; the optimiser's first moment is a tenth of the gradient. The error is
the norm of the difference over the norm of the gradient in double precision, its median over five seeds.
Needs Python's PyTorch.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/parity"))
from reference_unet import load_safetensors  # noqa: E402 (after the path)

WAYS = {"native fp32": ("native", "fp32"), "LibTorch fp32": ("torch", "fp32"), "LibTorch bf16": ("torch", "bf16")}
SEEDS = range(1, 6)
LAYERS = {
    "first convolution": "down_conv1.double_conv.double_conv.0.weight",
    "third level, down": "down_conv3.double_conv.double_conv.3.weight",
    "bottleneck": "double_conv.double_conv.3.weight",
    "third level, up": "up_conv3.double_conv.double_conv.3.weight",
    "last 3x3 convolution": "up_conv1.double_conv.double_conv.3.weight",
}


def moments(path):
    prefix = "optimizer.m."
    tensors, _ = load_safetensors(path)
    return {name.removeprefix(prefix): value.astype(np.float64) for name, value in tensors.items()
            if name.startswith(prefix)}


def one_step(program, store, config, seed, kernels, precision):
    with tempfile.TemporaryDirectory() as folder:
        settings = {"steps": 1, "warmup_steps": 0, "validate_every_steps": 1, "precision": precision}
        words = [program, "finetune", "--store", store, "--out", folder, "--kernels", kernels]
        words += ["--seed", str(seed), "--quiet"]
        words += ["--config", config] if config else []
        for key, value in settings.items():
            words += ["--set", f"finetune.{key}={value}"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        return moments(pathlib.Path(folder) / "checkpoints/last.state.safetensors")


def errors_of(program, store, config, seed):
    exact = one_step(program, store, config, seed, "torch", "fp64")
    rows = [one_step(program, store, config, seed, *settings) for settings in WAYS.values()]
    norm = np.linalg.norm
    return [[norm(row[name] - exact[name]) / norm(exact[name]) for row in rows] for name in LAYERS.values()]


def main():
    program, store = sys.argv[1:3]
    config = sys.argv[3] if len(sys.argv) > 3 else None
    errors = np.median([errors_of(program, store, config, seed) for seed in SEEDS], axis=0)
    print("| relative error of the gradient | " + " | ".join(WAYS) + " |\n|---|" + "---|" * len(WAYS))
    for layer, row in zip(LAYERS, errors):
        print(f"| {layer} | " + " | ".join(f"{error:.0e}" for error in row) + " |")


main()
