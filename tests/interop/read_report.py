# SPDX-License-Identifier: Apache-2.0
"""Prints the content tree of a DICOM structured report as pydicom sees it, one line for each item."""
import sys

import pydicom


def name_of(item):
    return item.ConceptNameCodeSequence[0].CodeMeaning


def item_at(root, position):
    for index in position[1:]:
        root = root.ContentSequence[index - 1]
    return root


def value_of(item, root):
    if item.ValueType == "TEXT":
        return item.TextValue
    if item.ValueType == "CODE":
        return item.ConceptCodeSequence[0].CodeMeaning
    if item.ValueType == "UIDREF":
        return item.UID
    if item.ValueType == "NUM":
        measured = item.MeasuredValueSequence[0]
        return f"{measured.NumericValue} {measured.MeasurementUnitsCodeSequence[0].CodeValue}"
    if item.ValueType == "IMAGE":
        reference = item.ReferencedSOPSequence[0]
        return f"{reference.ReferencedSOPInstanceUID} frame {reference.get('ReferencedFrameNumber', 'not said')}"
    if item.ValueType == "SCOORD":
        numbers = [f"{number:g}" for number in item.GraphicData]
        pairs = " ".join(f"{x},{y}" for x, y in zip(numbers[::2], numbers[1::2]))
        image = item_at(root, item.ContentSequence[0].ReferencedContentItemIdentifier)
        return f"{pairs} on {name_of(image)}"
    return ""


def show(item, root, depth):
    for child in item.get("ContentSequence", []):
        if "ValueType" not in child:  # by reference: shown where it is used
            continue
        print("  " * depth + name_of(child), "=", value_of(child, root))
        show(child, root, depth + 1)


document = pydicom.dcmread(sys.argv[1])
template = document.ContentTemplateSequence[0].TemplateIdentifier if "ContentTemplateSequence" in document else "none"
print(name_of(document), "template", template, "patient", document.PatientName, document.VerificationFlag)
show(document, document, 1)
