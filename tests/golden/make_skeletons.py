# SPDX-License-Identifier: Apache-2.0
"""Writes skeletons.txt: masks and what scikit-image's skeletonize makes of them.

Run:  /usr/bin/python3 tests/golden/make_skeletons.py      (Debian 12: python3-skimage 0.19.3)
Each case: height and width, the rows of the mask, the rows of the skeleton ('#' is 1).
"""
import pathlib

import numpy as np
from scipy.ndimage import binary_dilation
from skimage.morphology import skeletonize


def cases():
    rng = np.random.default_rng(7)
    for density in (0.2, 0.4, 0.6, 0.8):
        for _ in range(4):
            yield rng.random((17, 23)) < density
    for _ in range(6):  # tube-like shapes
        mask = np.zeros((60, 80), bool)
        y, x = 30.0, 5.0
        angle = 0.0
        for _ in range(70):
            angle += rng.normal(0, 0.25)
            y, x = np.clip(y + np.sin(angle), 0, 59), np.clip(x + np.cos(angle), 0, 79)
            mask[int(y), int(x)] = True
        yield binary_dilation(mask, iterations=int(rng.integers(1, 4)))
    yield np.ones((9, 9), bool)


def main():
    text = []
    for mask in cases():
        text.append(f"{mask.shape[0]} {mask.shape[1]}")
        for image in (mask, skeletonize(mask)):
            text += ["".join("#" if v else "." for v in row) for row in image]
    path = pathlib.Path(__file__).parent / "skeletons.txt"
    path.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
