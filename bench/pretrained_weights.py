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
"""
import json
import struct
import sys

import numpy as np

DTYPES = {"F32": np.float32, "I64": np.int64}


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(data[begin:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


def write(path, tensors, metadata):
    header, blobs, offset = {"__metadata__": metadata}, [], 0
    for name, value in tensors.items():
        kind = next(key for key, dtype in DTYPES.items() if dtype == value.dtype)
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [offset, offset + value.nbytes]}
        blobs.append(value.tobytes())
        offset += value.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "xb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


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
    tensors, metadata = read(sys.argv[2])
    if sys.argv[1] == "compare":
        compare(tensors, read(sys.argv[3])[0])
    elif sys.argv[1] == "encoder":
        write(sys.argv[3], {k: v for k, v in tensors.items() if k.startswith(("down_conv", "double_conv"))}, metadata)
    else:
        write(sys.argv[3], rescaled(tensors), metadata)


if __name__ == "__main__":
    main()
