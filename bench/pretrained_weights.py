#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How far pre-training moves a UNet's weights, and starts for fine-tuning with a part of them.
  bench/pretrained_weights.py compare A.safetensors B.safetensors
      per convolution: the cosine between both, and the size of A's weights in units of PyTorch's default first weights
  bench/pretrained_weights.py encoder IN OUT
      the encoder alone
  bench/pretrained_weights.py rescale IN OUT
      the same function with weights of PyTorch's default size: convolutions shrunk, and with them the statistics of the
      batch norms behind them
A and B from the same seed begin with the same weights, so their cosine is 1 as long as neither has moved.
Needs Python's PyTorch.
"""
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/parity"))
from reference_unet import load_safetensors, save_safetensors  # noqa: E402 (after the path)


def relative_size(name, weight):
    fan_in = weight[0].size if "up_sample" not in name else weight.shape[1] * weight[0, 0].size
    return float(np.sqrt(np.mean(weight.astype(np.float64) ** 2) * 3 * fan_in))  # the default: uniform, ±1/√fan_in


def convolutions(tensors):
    return {name: value for name, value in tensors.items() if value.ndim == 4 and not name.startswith("conv_last")}


def compare(a, b):
    print(f"{'convolution':44s} cosine   size")
    for name, weight in convolutions(a).items():
        x, y = weight.astype(np.float64).ravel(), b[name].astype(np.float64).ravel()
        print(f"{name:44s} {x @ y / np.sqrt((x @ x) * (y @ y)):6.3f} {relative_size(name, weight):6.2f}")


def rescaled(tensors):
    result = dict(tensors)
    for name, weight in convolutions(tensors).items():
        if "up_sample" in name:  # no batch norm behind it
            continue
        convolution = name.removesuffix(".weight")
        block, index = convolution.rsplit(".", 1)
        norm = f"{block}.{int(index) + 1}"
        scale = np.float32(1 / relative_size(name, weight))
        for key, factor in {name: scale, f"{convolution}.bias": scale, f"{norm}.running_mean": scale,
                            f"{norm}.running_var": scale**2}.items():
            result[key] = tensors[key] * factor
    return result


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("compare", "encoder", "rescale"):
        sys.exit(__doc__)
    tensors, metadata = load_safetensors(sys.argv[2])
    if sys.argv[1] == "compare":
        compare(tensors, load_safetensors(sys.argv[3])[0])
        return
    if pathlib.Path(sys.argv[3]).exists():
        sys.exit(f"{sys.argv[3]} exists already")
    if sys.argv[1] == "encoder":
        made = {name: value for name, value in tensors.items() if name.startswith(("down_conv", "double_conv"))}
    else:
        made = rescaled(tensors)
    save_safetensors(sys.argv[3], made, metadata)


if __name__ == "__main__":
    main()
