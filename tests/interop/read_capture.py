# SPDX-License-Identifier: Apache-2.0
"""Prints what pydicom sees of a secondary capture: source, comment, two pixels, and its lowest rows as text."""
import sys

import pydicom

dataset = pydicom.dcmread(sys.argv[1])
source = dataset.SourceImageSequence[0]
print("source", source.ReferencedSOPInstanceUID, "frame", source.get("ReferencedFrameNumber", "not said"))
print("comment", dataset.ImageComments)
pixels = dataset.pixel_array
print("pixel 40 17 is", *pixels[40, 17], end=", ")
print("0 0 is", *pixels[0, 0])
for row in pixels[-9:, :, 0]:
    print("".join("#" if value == 255 else " " for value in row))
