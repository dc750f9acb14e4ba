# SPDX-License-Identifier: Apache-2.0
"""Writes unet_golden.safetensors: what PyTorch computes for a UNet of base width 2 in double precision.

Run:  /usr/bin/python3 tests/parity/make_unet_golden.py      (Debian 12: python3-torch 1.13.1)
Holds the initial weights and buffers, an input, a target, logits, the loss, every gradient, and the losses of ten
Adam steps (lr 1e-3) and of ten AdamW steps (lr 1e-3, weight decay 0.05 on weights with more than one dimension).
"""
import copy
import pathlib

import numpy as np
import torch

from reference_unet import UNet, save_safetensors, segmentation_loss

STEPS = 10


def losses_of(model, optimizer, x, target):
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = segmentation_loss(model(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def main():
    torch.manual_seed(20)
    torch.set_default_dtype(torch.float64)
    model = UNet(2)
    x = torch.randn(2, 1, 32, 32)
    target = (torch.rand(2, 32, 32) > 0.8).long()
    out = {f"initial.{name}": value.numpy().copy() for name, value in model.state_dict().items()}
    out["input"], out["target"] = x.numpy(), target.numpy()
    adam, adamw = copy.deepcopy(model), copy.deepcopy(model)
    logits = model(x)
    loss = segmentation_loss(logits, target)
    loss.backward()
    out["logits"], out["loss"] = logits.detach().numpy(), np.array([loss.item()])
    for name, parameter in model.named_parameters():
        out[f"gradient.{name}"] = parameter.grad.numpy()
    out["adam_losses"] = losses_of(adam, torch.optim.Adam(adam.parameters(), lr=1e-3), x, target)
    groups = [
        {"params": [p for p in adamw.parameters() if p.dim() > 1], "weight_decay": 0.05},
        {"params": [p for p in adamw.parameters() if p.dim() <= 1], "weight_decay": 0.0},
    ]
    out["adamw_losses"] = losses_of(adamw, torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95)), x, target)
    path = pathlib.Path(__file__).parent / "unet_golden.safetensors"
    save_safetensors(path, out, {"generator": "make_unet_golden.py", "torch": torch.__version__})


if __name__ == "__main__":
    main()
