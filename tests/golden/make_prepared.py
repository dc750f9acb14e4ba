# SPDX-License-Identifier: Apache-2.0
"""Writes prepared.txt: what scikit-image and Pillow make of one picture by the paper's chain, corners left alone.

Run:  /usr/bin/python3 tests/golden/make_prepared.py      (Debian 12: python3-skimage 0.19.3, Pillow 9.4.0)
The picture is 512 x 500, pixel (y, x) = 40 + (7 x + 3 y) % 97 + (x y / 64) % 83 in whole numbers. Chain: centre crop
475, unsharp mask (radius 60, amount 1), Pillow's bicubic to 256, z-score. Each line: y, x, value.
First part: the unsharp mask of the whole picture; second part, after an empty line: the chain's result.
"""
import pathlib

import numpy as np
from PIL import Image
from skimage.filters import unsharp_mask

y, x = np.mgrid[0:512, 0:500]
picture = (40 + (7 * x + 3 * y) % 97 + (x * y // 64) % 83).astype(np.float64)
sharp = unsharp_mask(picture, radius=60, amount=1, preserve_range=True)

window = picture[18:18 + 475, 12:12 + 475]
chain = unsharp_mask(window, radius=60, amount=1, preserve_range=True).astype(np.float32)
small = np.asarray(Image.fromarray(chain, mode="F").resize((256, 256), Image.BICUBIC)).astype(np.float64)
result = (small - small.mean()) / small.std()


def rows(values, step):
    height, width = values.shape
    return [f"{i} {j} {values[i, j]:.7g}" for i in range(0, height, step) for j in range(0, width, step)]


text = rows(sharp, 73) + [""] + rows(result, 17)
(pathlib.Path(__file__).parent / "prepared.txt").write_text("\n".join(text) + "\n")
