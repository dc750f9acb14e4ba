# SPDX-License-Identifier: Apache-2.0
"""Writes losses_golden.safetensors: what PyTorch computes for the losses, in double precision.

Run:  /usr/bin/python3 tests/parity/make_losses_golden.py      (Debian 12: python3-torch 1.13.1)
Every loss comes with its inputs, its value and its gradient: InfoNCE, masked mean squared error, soft Dice with
cross-entropy, soft clDice. Further the losses of ten steps of torch.optim.SGD (lr 0.05, momentum 0.9, weight decay 0.01
on weights with more than one dimension) on the UNet of unet_golden.safetensors.
"""
import pathlib

import numpy as np
import torch
from torch.nn import functional

from make_unet_golden import losses_of
from reference_unet import UNet, load_safetensors, save_safetensors, segmentation_loss

FOLDER = pathlib.Path(__file__).parent


def info_nce(p, k, temperature):
    logits = functional.normalize(p, dim=1) @ functional.normalize(k, dim=1).T / temperature
    return functional.cross_entropy(logits, torch.arange(len(p)))


def masked_mse(pred, target, masked):
    return functional.mse_loss(pred[masked > 0], target[masked > 0])


def soft_erode(x):
    cross = torch.cat([-functional.max_pool2d(-x, (3, 1), 1, (1, 0)), -functional.max_pool2d(-x, (1, 3), 1, (0, 1))], 1)
    return cross.min(1, keepdim=True).values


def soft_skeleton(x, iterations):
    """Shit et al., CVPR 2021, algorithm 1."""
    def opened(y):
        return functional.max_pool2d(soft_erode(y), 3, 1, 1)

    skeleton = functional.relu(x - opened(x))
    for _ in range(iterations):
        x = soft_erode(x)
        removed = functional.relu(x - opened(x))
        skeleton = skeleton + functional.relu(removed - skeleton * removed)
    return skeleton


def soft_cl_dice_loss(prob, target, iterations):
    prob, target = prob[:, None], target[:, None]
    of_prob, of_target = soft_skeleton(prob, iterations), soft_skeleton(target, iterations)
    precision = ((of_prob * target).sum() + 1) / (of_prob.sum() + 1)
    sensitivity = ((of_target * prob).sum() + 1) / (of_target.sum() + 1)
    return 1 - 2 * precision * sensitivity / (precision + sensitivity)


def smooth_blobs(*shape):
    """Probabilities with ridges, so that skeletons are not all noise."""
    coarse = torch.randn(shape[0], 1, shape[1] // 4, shape[2] // 4)
    fine = functional.interpolate(coarse, size=shape[1:], mode="bilinear", align_corners=False)[:, 0]
    return torch.sigmoid(4 * fine + 0.1 * torch.randn(*shape))


def sgd_losses(golden):
    model = UNet(2)
    prefix = "initial."
    model.load_state_dict(
        {n[len(prefix):]: torch.from_numpy(a.copy()) for n, a in golden.items() if n.startswith(prefix)})
    x, target = torch.from_numpy(golden["input"].copy()), torch.from_numpy(golden["target"].copy())
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.01},
        {"params": [p for p in model.parameters() if p.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.05, momentum=0.9)
    return losses_of(model, optimizer, x, target)


def main():
    torch.manual_seed(31)
    torch.set_default_dtype(torch.float64)
    golden, _ = load_safetensors(FOLDER / "unet_golden.safetensors")
    out = {"sgd_losses": sgd_losses(golden)}

    def record(name, leaf, others, loss):
        """The loss of the leaf and the other inputs, and its gradient by the leaf."""
        leaf = leaf.clone().requires_grad_()
        value = loss(leaf, *others)
        value.backward()
        for i, tensor in enumerate([leaf.detach(), *others]):
            out[f"{name}.input{i}"] = tensor.numpy()
        out[f"{name}.loss"] = np.array([value.item()])
        out[f"{name}.gradient"] = leaf.grad.numpy()

    record("info_nce", torch.randn(6, 16), [torch.randn(8, 16)], lambda p, k: info_nce(p, k, 0.07))
    masked = torch.zeros(2, 1, 32, 32)
    masked[0, :, 16:, :16], masked[1, :, :16, :] = 1, 1
    record("masked_mse", torch.randn(2, 1, 32, 32), [torch.randn(2, 1, 32, 32), masked], masked_mse)
    target = (smooth_blobs(2, 32, 32) > 0.6).double()
    record("segmentation", torch.randn(2, 2, 32, 32), [target], lambda l, t: segmentation_loss(l, t.long()))
    record("soft_cl_dice", smooth_blobs(2, 32, 32), [target], lambda p, t: soft_cl_dice_loss(p, t, 5))
    save_safetensors(FOLDER / "losses_golden.safetensors", out,
                     {"generator": "make_losses_golden.py", "torch": torch.__version__})


if __name__ == "__main__":
    main()
