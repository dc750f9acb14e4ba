# SPDX-License-Identifier: Apache-2.0
"""Prints the codes of a DICOM object that are not, with their meaning, in pydicom's copy of DICOM's and SNOMED's terms.
Own codes (99…), units and languages are left out."""
import sys

import pydicom
from pydicom.sr._concepts_dict import concepts


def meanings(scheme, code):
    return {meaning for term in concepts[scheme].values() for key, (meaning, _) in term.items() if key == code}


def items(dataset):
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from items(item)


seen = 0
for item in items(pydicom.dcmread(sys.argv[1])):
    if item.get("CodingSchemeDesignator") not in ("DCM", "SCT"):
        continue
    seen += 1
    if item.CodeMeaning not in meanings(item.CodingSchemeDesignator, item.CodeValue):
        print(item.CodingSchemeDesignator, item.CodeValue, item.CodeMeaning)
print("codes:", seen)
