# SPDX-License-Identifier: Apache-2.0
"""Loads a cmunet model into the PyTorch UNet by name and checks its output.

Usage: load_checkpoint.py MODEL.safetensors EXPECTED.safetensors   (EXPECTED holds "input" and "logits")
Exit status 0 when the largest difference is below 1e-4, 77 when PyTorch is not installed.
"""
import json
import sys

try:
    import torch
except ImportError:
    sys.exit(77)

from reference_unet import UNet, load_safetensors


def main():
    tensors, metadata = load_safetensors(sys.argv[1])
    expected, _ = load_safetensors(sys.argv[2])
    width = json.loads(metadata["cmunet"])["architecture"]["base_width"]
    model = UNet(width)
    model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in tensors.items()}, strict=True)
    model.eval()
    with torch.no_grad():
        logits = model(torch.from_numpy(expected["input"].copy()))
    difference = (logits - torch.from_numpy(expected["logits"].copy())).abs().max().item()
    print(f"largest difference {difference:.2e}")
    sys.exit(0 if difference < 1e-4 else 1)


if __name__ == "__main__":
    main()
