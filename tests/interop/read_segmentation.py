# SPDX-License-Identifier: Apache-2.0
"""Prints a DICOM segmentation as pydicom sees it: patient, source, and each frame's source frame and pixels."""
import sys

import pydicom

dataset = pydicom.dcmread(sys.argv[1])
print("patient", dataset.PatientName)
print("source", dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID)
pixels = dataset.pixel_array.reshape(int(dataset.NumberOfFrames), dataset.Rows, dataset.Columns)
for groups, frame in zip(dataset.PerFrameFunctionalGroupsSequence, pixels):
    source = groups.DerivationImageSequence[0].SourceImageSequence[0]
    print("frame", source.get("ReferencedFrameNumber", "not said"))
    for row in frame:
        print("".join(str(value) for value in row))
