# SPDX-License-Identifier: Apache-2.0
"""Writes decoded_pictures.txt: checksums of real pictures as Pillow and scikit-image read them.

Run:  /usr/bin/python3 tests/golden/make_decoded_pictures.py ../shared/data   (Debian 12: Pillow 9.4.0, skimage 0.19.3)
Each line: path below the data folder, height, width, sum over i of (i + 1) * pixel i in row-major order.
"""
import pathlib
import sys

import numpy as np
from PIL import Image
from skimage.io import imread


def main(data):
    lines = []
    for folder, count in (("arcade_256/train/images", 6), ("arcade_256/test/masks", 6),
                          ("arcade_256_unlabelled/images", 4), ("arcade_512_subset/val/images", 4),
                          ("arcade_512_subset/val/segments", 6)):
        for path in sorted((data / folder).glob("*.png"))[:count]:
            pixels = np.asarray(Image.open(path)).astype(np.int64)
            assert pixels.ndim == 2 and np.array_equal(pixels, imread(path)), path
            checksum = int((pixels.ravel() * np.arange(1, pixels.size + 1)).sum())
            lines.append(f"{path.relative_to(data)} {pixels.shape[0]} {pixels.shape[1]} {checksum}")
    (pathlib.Path(__file__).parent / "decoded_pictures.txt").write_text("\n".join(lines) + "\n")


main(pathlib.Path(sys.argv[1]))
