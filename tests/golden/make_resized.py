# SPDX-License-Identifier: Apache-2.0
"""Writes resized.json: what Pillow makes of a picture in its float mode, for several sizes.

Run:  /usr/bin/python3 tests/golden/make_resized.py      (Debian 12: python3-pil 9.4.0)
The picture is p(y, x) = 100 sin(0.37 y) cos(0.23 x) + 20 cos(0.011 x y), as float32. Of large results every 211th
value is kept.
"""
import json
import pathlib

import numpy as np
from PIL import Image

SIZES = [((13, 17), (7, 9)), ((13, 17), (26, 34)), ((13, 17), (13, 5)), ((13, 17), (40, 3)), ((1, 9), (3, 4)),
         ((475, 475), (256, 256)), ((300, 300), (475, 475)), ((512, 512), (224, 224))]
METHODS = {"bicubic": Image.BICUBIC, "bilinear": Image.BILINEAR, "nearest": Image.NEAREST}


def picture(height, width):
    y, x = np.mgrid[:height, :width].astype(np.float64)
    return (100 * np.sin(0.37 * y) * np.cos(0.23 * x) + 20 * np.cos(0.011 * x * y)).astype(np.float32)


def main():
    cases = []
    for (in_height, in_width), (height, width) in SIZES:
        for method, code in METHODS.items():
            if method == "nearest" and (in_height, height) in ((300, 475), (512, 224)):
                continue  # centres fall on pixel edges, where Pillow's running sum rounds either way
            resized = np.asarray(Image.fromarray(picture(in_height, in_width)).resize((width, height), code))
            step = 1 if resized.size < 2000 else 211
            values = [round(float(v), 5) for v in resized.ravel()[::step]]
            cases.append({"from": [in_height, in_width], "to": [height, width], "method": method, "step": step,
                          "values": values})
    text = "[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n"
    (pathlib.Path(__file__).parent / "resized.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
