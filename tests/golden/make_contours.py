# SPDX-License-Identifier: Apache-2.0
"""Writes contours.json: images and the contours that scikit-image's find_contours draws in them.

Run:  /usr/bin/python3 tests/golden/make_contours.py      (Debian 12: python3-skimage 0.19.3)
"""
import json
import pathlib

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter
from skimage.measure import find_contours


def cases():
    rng = np.random.default_rng(5)
    for density in (0.1, 0.3, 0.5, 0.7):  # every 2×2 square occurs, saddles too
        yield f"noise {density}", (rng.random((15, 21)) < density).astype(np.float32), 0.5
    line = np.zeros((30, 40), bool)
    line[np.clip((15 + 12 * np.sin(np.arange(40) / 6)).astype(int), 0, 29), np.arange(40)] = True
    yield "vessel", binary_dilation(line, iterations=2).astype(np.float32), 0.5
    for level in (-0.1, 0.0, 0.2):
        yield f"grey {level}", gaussian_filter(rng.normal(size=(18, 25)), 1).astype(np.float32), level
    for name, mask in (("empty", np.zeros((4, 5))), ("full", np.ones((4, 5))), ("one row", np.eye(1, 6))):
        yield name, mask.astype(np.float32), 0.5
    hole = rng.random((9, 9)).astype(np.float32)
    hole[4, 4] = np.nan
    yield "a pixel is missing", hole, 0.5


def main():
    result = []
    for name, image, level in cases():
        # A row has no 2×2 square; scikit-image refuses it.
        contours = find_contours(image, level) if min(image.shape) > 1 else []
        result.append({
            "name": name, "level": level, "height": image.shape[0], "width": image.shape[1],
            "pixels": [None if np.isnan(v) else round(float(v), 9) for v in image.ravel()],
            "contours": [[[round(float(v), 7) for v in point] for point in contour] for contour in contours],
        })
    text = "[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in result) + "\n]\n"
    (pathlib.Path(__file__).parent / "contours.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
