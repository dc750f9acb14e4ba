# SPDX-License-Identifier: Apache-2.0
"""Writes dicom_values.json: small DICOM objects and what pydicom decodes and shows of them.

Run:  /usr/bin/python3 tests/golden/make_dicom_values.py      (Debian 12: python3-pydicom 2.3.1, python3-numpy 1.24.2)

Per case: `file`, the object in hexadecimal, written by pydicom (RLE also encoded by it); `values`, per frame the
stored values after the modality LUT, colour as its luma 0.299 R + 0.587 G + 0.114 B; `shown`, per frame what the VOI
window or LUT makes of them, in [0, 255], MONOCHROME1 turned over; null where there is neither window nor LUT.

pydicom does not do, and this script does by PS3.5 and PS3.3 instead: luma; turning MONOCHROME1 over; dropping bits of a
cell beside the stored ones and extending the sign (PS3.5 8.1.1); exchanging the bytes of 8-bit samples in big-endian OW
words (PS3.5 2016b 7.3, A.3); and looking up VOI LUTs of 8 bits, whose input pydicom cuts to 8 bits, too, while PS3.3
C.11.2.1.1 maps all that lies behind the table to its last entry. Wherever pydicom's own result differs from what is
written, its step is printed.
"""
import io
import json
import pathlib

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import dcmread
from pydicom.pixel_data_handlers.util import apply_color_lut, apply_modality_lut, apply_voi_lut, apply_windowing
from pydicom.sequence import Sequence
from pydicom.uid import (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian,
                         ImplicitVRLittleEndian, RLELossless)

HEIGHT, WIDTH, FRAMES = 5, 7, 2
NATIVE = {"implicit": ImplicitVRLittleEndian, "explicit": ExplicitVRLittleEndian, "big_endian": ExplicitVRBigEndian,
          "deflated": DeflatedExplicitVRLittleEndian}
SYNTAXES = {**NATIVE, "rle": RLELossless}


def ramp(low, high, samples=1):
    """Integers from low to high in an order that is neither that of rows nor of columns."""
    count = FRAMES * HEIGHT * WIDTH * samples
    values = low + (np.arange(count) * 37 % count) * (high - low) // (count - 1)
    shape = (FRAMES, HEIGHT, WIDTH) + ((samples,) if samples > 1 else ())
    return values.reshape(shape)


def make(cells, syntax, allocated, stored, signed=False, photometric="MONOCHROME2", planar=0, vr=None, high=None,
         **attributes):
    """An object as bytes; `cells` are the values of the cells, as many bits as are allocated."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = SYNTAXES[syntax]
    meta.MediaStorageSOPClassUID = attributes.pop("SOPClassUID", "1.2.840.10008.5.1.4.1.1.12.1")
    meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.2.1143.9"
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.is_little_endian = syntax != "big_endian"
    ds.is_implicit_VR = syntax == "implicit"
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.Modality = "XA"
    ds.SamplesPerPixel = 3 if cells.ndim == 4 else 1
    ds.PhotometricInterpretation = photometric
    ds.NumberOfFrames, ds.Rows, ds.Columns = cells.shape[:3]
    ds.BitsAllocated, ds.BitsStored, ds.PixelRepresentation = allocated, stored, int(signed)
    ds.HighBit = stored - 1 if high is None else high
    if cells.ndim == 4:
        ds.PlanarConfiguration = planar
    for name, value in attributes.items():
        setattr(ds, name, value)
    if cells.ndim == 4 and planar == 1:
        cells = np.moveaxis(cells, 3, 1)
    data = (cells & ((1 << allocated) - 1)).astype("u2" if allocated == 16 else "u1")
    if allocated == 16 and syntax == "big_endian":
        data = data.byteswap()
    data = data.tobytes()
    data += b"\0" * (len(data) % 2)
    native_vr = vr or ("OW" if allocated == 16 or syntax == "implicit" else "OB")
    if allocated == 8 and native_vr == "OW" and syntax == "big_endian":
        data = np.frombuffer(data, "u2").byteswap().tobytes()
    ds.PixelData = data
    ds["PixelData"].VR = native_vr
    if syntax == "rle":
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.compress(RLELossless, encoding_plugin="pydicom")
    out = DicomBytesIO()
    ds.save_as(out, write_like_original=False)
    return out.parent.getvalue() if hasattr(out.parent, "getvalue") else out.getvalue()


def table(first, bits, entries, vr="US"):
    item = Dataset()
    item.add_new(0x00283002, vr, [len(entries) & 0xFFFF, first, bits])
    item.add_new(0x00283006, "OW", np.array(entries, "<u2").tobytes())
    return Sequence([item])


def stored_values(cells, stored, signed, high=None):
    high = stored - 1 if high is None else high
    values = (cells >> (high + 1 - stored)) & ((1 << stored) - 1)
    if signed:
        sign = 1 << (stored - 1)
        values = (values ^ sign) - sign
    return values


def luma(rgb):
    return rgb[..., 0] * 0.299 + rgb[..., 1] * 0.587 + rgb[..., 2] * 0.114


def shown(name, values, ds):
    """pydicom's window or LUT scaled from the range that it uses to [0, 255]."""
    if "VOILUTSequence" not in ds and "WindowCenter" not in ds:
        return None
    if "VOILUTSequence" in ds:
        item = ds.VOILUTSequence[0]
        count, first, bits = item.LUTDescriptor
        entries = np.frombuffer(item.LUTData, "<u2")
        result = entries[np.clip(values - first, 0, count - 1)]
        if not np.array_equal(result, apply_voi_lut(values, ds)):
            print(f"{name}: pydicom's apply_voi_lut differs")
        result = result / ((1 << bits) - 1) * 255
    else:
        with np.errstate(over="ignore"):
            low, high = apply_windowing(np.array([-1e5, 1e5]), ds)
        result = (apply_windowing(values, ds) - low) / (high - low) * 255
    return 255 - result if ds.PhotometricInterpretation == "MONOCHROME1" else result


def case(name, cells, syntax, allocated, stored, signed=False, high=None, **rest):
    data = make(cells, syntax, allocated, stored, signed, high=high, **rest)
    ds = dcmread(io.BytesIO(data))
    pixels = ds.pixel_array.reshape(cells.shape)
    expected = stored_values(cells, stored, signed, high)
    if not np.array_equal(pixels, expected):
        print(f"{name}: pydicom's pixel_array differs in {np.mean(pixels != expected):.0%} of the samples")
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(expected, ds)
        white = (1 << ds.RedPaletteColorLookupTableDescriptor[2]) - 1
        values = luma(colours.astype(float)) / white * 255
    elif ds.PhotometricInterpretation.startswith("YBR"):
        values = expected[..., 0]
    elif cells.ndim == 4:
        values = luma(expected)
    else:
        values = apply_modality_lut(expected, ds)
    view = shown(name, values, ds)
    as_list = lambda a: [[round(float(v), 6) for v in frame.ravel()] for frame in a]
    return {"name": name, "file": data.hex(), "height": HEIGHT, "width": WIDTH, "values": as_list(values),
            "shown": None if view is None else as_list(view)}


def cases():
    for syntax in SYNTAXES:
        yield case(f"{syntax}_8_bits", ramp(0, 255), syntax, 8, 8)
        yield case(f"{syntax}_8_bits_signed", ramp(-128, 127), syntax, 8, 8, signed=True)
        yield case(f"{syntax}_12_in_16", ramp(0, 4095), syntax, 16, 12)
        yield case(f"{syntax}_16_bits", ramp(0, 65535), syntax, 16, 16)
        yield case(f"{syntax}_16_bits_signed", ramp(-32768, 32767), syntax, 16, 16, signed=True)
        yield case(f"{syntax}_12_in_16_signed", ramp(-2048, 2047), syntax, 16, 12, signed=True)
        yield case(f"{syntax}_rgb", ramp(0, 255, 3), syntax, 8, 8, photometric="RGB")
    for syntax in NATIVE:
        yield case(f"{syntax}_rgb_planar", ramp(0, 255, 3), syntax, 8, 8, photometric="RGB", planar=1)
    yield case("explicit_ybr_full", ramp(0, 255, 3), "explicit", 8, 8, photometric="YBR_FULL")
    yield case("explicit_8_bits_in_words", ramp(0, 255), "explicit", 8, 8, vr="OW")
    yield case("big_endian_8_bits_in_words", ramp(0, 255), "big_endian", 8, 8, vr="OW")
    yield case("overlay_bits_above", ramp(0, 4095) | 0x5000, "explicit", 16, 12)
    yield case("overlay_bits_below", ramp(0, 4095) << 4 | 0x3, "explicit", 16, 12, high=15)

    twelve = ramp(0, 4095)
    signed = ramp(-2048, 2047)
    yield case("rescale", twelve, "explicit", 16, 12, RescaleSlope="1.5", RescaleIntercept="-1024.25")
    yield case("rescale_signed", signed, "explicit", 16, 12, signed=True, RescaleSlope="-2", RescaleIntercept="7")
    for shape in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        window = dict(WindowCenter="1800", WindowWidth="1500", VOILUTFunction=shape)
        name = shape.lower()
        yield case(f"window_{name}", twelve, "explicit", 16, 12, **window)
        yield case(f"window_{name}_signed", signed, "explicit", 16, 12, signed=True,
                   **dict(window, WindowCenter="-100.5"))
        yield case(f"window_{name}_rescaled", twelve, "explicit", 16, 12, RescaleSlope="0.5", RescaleIntercept="-300",
                   **dict(window, WindowCenter="200"))
        yield case(f"window_{name}_monochrome1", twelve, "explicit", 16, 12, photometric="MONOCHROME1", **window)
        yield case(f"window_{name}_8_bits", ramp(0, 255), "explicit", 8, 8,
                   **dict(window, WindowCenter="127.5", WindowWidth="91.25"))
    yield case("window_of_width_1", ramp(0, 255), "explicit", 8, 8, WindowCenter="128", WindowWidth="1")
    yield case("windows_several", twelve, "explicit", 16, 12, WindowCenter=["2000", "100"], WindowWidth=["800", "50"])
    curve8 = [int(255 * (i / 99) ** 0.5) for i in range(100)]
    curve12 = [int(4095 * (i / 4095) ** 2) for i in range(0, 4096, 16)]
    yield case("voi_lut_8_bits", twelve, "explicit", 16, 12, VOILUTSequence=table(1000, 8, curve8))
    yield case("voi_lut_12_bits", ramp(0, 255), "explicit", 8, 8, VOILUTSequence=table(0, 12, curve12))
    yield case("voi_lut_before_window", ramp(0, 255), "explicit", 8, 8, VOILUTSequence=table(0, 12, curve12),
               WindowCenter="20", WindowWidth="10")
    yield case("voi_lut_signed", signed, "explicit", 16, 12, signed=True,
               VOILUTSequence=table(-50, 8, curve8, vr="SS"))
    curve16 = [16 * v for v in curve12]
    for name, bits, curve, dtype in (("8_bits", 8, curve8, "u1"), ("8_bits_in_words", 8, curve8, "<u2"),
                                     ("16_bits", 16, curve16, "<u2")):
        yield case(f"palette_{name}", ramp(0, 255), "explicit", 8, 8, photometric="PALETTE COLOR",
                   **palette(bits, dtype, curve, curve[::-1], curve[20:] + curve[:20]))
    yield case("modality_lut", ramp(0, 255), "explicit", 8, 8, ModalityLUTSequence=modality(curve16),
               WindowCenter="32000", WindowWidth="48000")


def palette(bits, dtype, *channels):
    attributes = {}
    for name, entries in zip(("Red", "Green", "Blue"), channels):
        attributes[f"{name}PaletteColorLookupTableDescriptor"] = [len(entries) & 0xFFFF, 5, bits]
        attributes[f"{name}PaletteColorLookupTableData"] = np.array(entries, dtype).tobytes()
    return attributes


def modality(entries):
    sequence = table(0, 16, entries)
    sequence[0].ModalityLUTType = "US"
    return sequence


def main():
    rows = list(cases())
    target = pathlib.Path(__file__).with_name("dicom_values.json")
    target.write_text("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n")
    print(f"{len(rows)} objects, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
