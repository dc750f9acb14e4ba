# SPDX-License-Identifier: Apache-2.0
"""The UNet of the paper in PyTorch, written from its description, and a reader and writer of safetensors files.

It is the independent side of the parity tests: same names, same shapes, same arithmetic.
"""
import json
import struct

import numpy as np
import torch
from torch import nn

DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32, "U8": np.uint8}


def load_safetensors(path):
    """Returns ({name: array}, metadata)."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    body = data[8 + length :]
    tensors = {}
    for name, row in header.items():
        begin, end = row["data_offsets"]
        tensors[name] = np.frombuffer(body[begin:end], DTYPES[row["dtype"]]).reshape(row["shape"])
    return tensors, metadata


def save_safetensors(path, tensors, metadata=None):
    names = {np.dtype(t): n for n, t in DTYPES.items()}
    header, body = {"__metadata__": metadata or {}}, b""
    for name, array in tensors.items():
        array = np.asarray(array, order="C")  # ascontiguousarray would give a scalar one dimension
        raw = array.tobytes()
        offsets = [len(body), len(body) + len(raw)]
        header[name] = {"dtype": names[array.dtype], "shape": list(array.shape), "data_offsets": offsets}
        body += raw
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


class DoubleConv(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.double_conv = DoubleConv(inputs, outputs)

    def forward(self, x):
        return self.double_conv(x)


class Up(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.up_sample = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        self.double_conv = DoubleConv(inputs, outputs)

    def forward(self, x, skip):
        return self.double_conv(torch.cat([self.up_sample(x), skip], dim=1))


class UNet(nn.Module):
    def __init__(self, base, classes=2):
        super().__init__()
        self.down_conv1, self.down_conv2 = Down(1, base), Down(base, 2 * base)
        self.down_conv3, self.down_conv4 = Down(2 * base, 4 * base), Down(4 * base, 8 * base)
        self.double_conv = DoubleConv(8 * base, 16 * base)
        self.up_conv4, self.up_conv3 = Up(16 * base, 8 * base), Up(8 * base, 4 * base)
        self.up_conv2, self.up_conv1 = Up(4 * base, 2 * base), Up(2 * base, base)
        self.conv_last = nn.Conv2d(base, classes, 1)

    def forward(self, x):
        skips = []
        for down in (self.down_conv1, self.down_conv2, self.down_conv3, self.down_conv4):
            skips.append(down(x))
            x = nn.functional.max_pool2d(skips[-1], 2)
        x = self.double_conv(x)
        for up in (self.up_conv4, self.up_conv3, self.up_conv2, self.up_conv1):
            x = up(x, skips.pop())
        return self.conv_last(x)


def segmentation_loss(logits, target, epsilon=1e-5):
    """Soft Dice of the vessel channel, pooled over the batch, plus cross-entropy."""
    vessel = torch.softmax(logits, 1)[:, 1]
    t = target.to(vessel.dtype)
    dice = 1 - (2 * (vessel * t).sum() + epsilon) / (vessel.sum() + t.sum() + epsilon)
    return dice + nn.functional.cross_entropy(logits, target)
