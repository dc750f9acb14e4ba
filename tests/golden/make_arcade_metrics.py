# SPDX-License-Identifier: Apache-2.0
"""Writes arcade_metrics.csv: the metrics of pairs of real vessel masks, by scikit-image, SciPy and PyTorch.

Run:  /usr/bin/python3 tests/golden/make_arcade_metrics.py   (Debian 12: python3-skimage 0.19.3, python3-torch 1.13.1)
Needs ../shared/data with the ARCADE masks; only file names, checksums and values are stored. The prediction is another
image's mask, or, where the two files are one, that mask moved two pixels to the right and dilated by a 3×3 square.
"""
import csv
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree
from skimage.measure import find_contours
from skimage.morphology import skeletonize

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
FOLDERS = {"arcade_256/val/masks": 12, "arcade_512_subset/val/masks": 4}


def read(name):
    return np.asarray(Image.open(DATA / name)) > 0


def fnv1a(mask):
    """64-bit FNV-1a of the pixels as bytes 0 and 1."""
    value = 0xCBF29CE484222325
    for byte in mask.astype(np.uint8).tobytes():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def points(mask):
    contours = find_contours(mask.astype(float), 0.5)
    return np.unique(np.concatenate(contours), axis=0)


def modified_hausdorff(pred, target):
    a, b = points(pred), points(target)
    return max(cKDTree(b).query(a)[0].mean(), cKDTree(a).query(b)[0].mean())


def diameter(mask):
    inner = mask.copy()
    inner[[0, -1], :] = False
    inner[:, [0, -1]] = False
    return 2 * cKDTree(points(inner)).query(np.argwhere(skeletonize(inner)))[0].mean()


def harmonic(a, b):
    return 2 * a * b / (a + b) if a + b > 0 else 0.0


def cl_dice(pred, target):
    skeleton_pred, skeleton_target = skeletonize(pred), skeletonize(target)
    return harmonic((skeleton_pred & target).sum() / skeleton_pred.sum(),
                    (skeleton_target & pred).sum() / skeleton_target.sum())


def soft_skeleton(mask, iterations=10):
    image = torch.from_numpy(mask.astype(np.float64))[None, None]

    def erode(t):
        return torch.minimum(-F.max_pool2d(-t, (3, 1), 1, (1, 0)), -F.max_pool2d(-t, (1, 3), 1, (0, 1)))

    def opened(t):
        return F.max_pool2d(erode(t), 3, 1, 1)

    skeleton = F.relu(image - opened(image))
    for _ in range(iterations):
        image = erode(image)
        delta = F.relu(image - opened(image))
        skeleton = skeleton + F.relu(delta - skeleton * delta)
    return skeleton[0, 0].numpy()


def soft_cl_dice(pred, target):
    skeleton_pred, skeleton_target = soft_skeleton(pred), soft_skeleton(target)
    return harmonic(((skeleton_pred * target).sum() + 1) / (skeleton_pred.sum() + 1),
                    ((skeleton_target * pred).sum() + 1) / (skeleton_target.sum() + 1))


def row(pred_name, target_name):
    target = read(target_name)
    if pred_name == target_name:
        moved = np.zeros_like(target)
        moved[:, 2:] = target[:, :-2]
        pred = binary_dilation(moved, np.ones((3, 3)))
    else:
        pred = read(pred_name)
    both = (pred & target).sum()
    return [pred_name, target_name, f"{fnv1a(skeletonize(pred)):016x}",
            *(f"{v:.10f}" for v in (
                2 * both / (pred.sum() + target.sum()), both / (pred | target).sum(), cl_dice(pred, target),
                soft_cl_dice(pred, target), modified_hausdorff(pred, target), diameter(pred), diameter(target)))]


def main():
    path = pathlib.Path(__file__).parent / "arcade_metrics.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["pred", "target", "pred_skeleton", "dice", "iou", "cl_dice", "soft_cl_dice",
                         "modified_hausdorff_px", "pred_diameter_px", "target_diameter_px"])
        for folder, count in FOLDERS.items():
            names = [f"{folder}/{p.name}" for p in sorted((DATA / folder).glob("*.png"))[:count]]
            for i, name in enumerate(names):
                writer.writerow(row(name if i % 2 == 0 else names[i - 1], name))


if __name__ == "__main__":
    main()
