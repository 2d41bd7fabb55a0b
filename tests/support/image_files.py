"""JPEGs and PNGs of every form that a reader meets. No library writes some of them: they are made
byte by byte."""

import io
import itertools
import struct
import zlib

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 37, 53
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # the colour types of PNG
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8)}  # others as RGB
# x, y and steps of the passes of an interlaced PNG (specification, 8.2)
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
PASSES += ((0, 1, 1, 2),)
TRANSPARENT = {GREY: b"\0\1", RGB: bytes(6), PALETTE: b"\1\x80"}  # the content of tRNS
SAMPLINGS = (0x411111, 0x221111, 0x211111, 0x121111, 0x111111)  # of OpenCV's encoder
HUFFMAN_TABLES, START_OF_SCAN = 0xC4, 0xDA


def chunk(name, content):
    """A chunk of a PNG."""
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def png(colour=RGB, depth=8, interlaced=False, before=b"", after=b"", size=(HEIGHT, WIDTH), seed=0):
    """A PNG of random pixels; before and after: chunks around the pixels."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 2**depth, (*size, CHANNELS[colour]))
    passes = [pixels[y::dy, x::dx] for x, y, dx, dy in PASSES] if interlaced else [pixels]
    rows = [row.ravel() for each in passes if each.size for row in each]
    content = b"".join(b"\0" + _packed(row, depth) for row in rows)
    palette = rng.integers(0, 256, 3 * 2**depth, dtype=np.uint8).tobytes()
    header = struct.pack(">IIBBBBB", size[1], size[0], depth, colour, 0, 0, interlaced)
    chunks = [chunk(b"IHDR", header), chunk(b"PLTE", palette) if colour == PALETTE else b""]
    chunks += [before, chunk(b"IDAT", zlib.compress(content)), after, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def exif(orientation, order="<", first=b""):
    """A TIFF file of an orientation; first: entries of 12 bytes before it."""
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    begin = struct.pack(
        f"{order}2sHIH", {"<": b"II", ">": b"MM"}[order], 42, 8, 1 + len(first) // 12
    )
    return begin + first + entry + bytes(4)


def picture(channels=3, size=(HEIGHT, WIDTH)):
    """Smooth and noisy pixels (H, W, channels)."""
    y, x = np.mgrid[: size[0], : size[1]]
    smooth = np.stack([4 * x, 6 * y, 3 * (x + y), x * y], axis=-1)[..., :channels]
    noise = np.random.default_rng(0).integers(0, 40, smooth.shape)
    return ((smooth + noise) % 256).astype(np.uint8)


def jpeg(pixels=None, mode=None, **options):
    """A JPEG of Pillow."""
    file = io.BytesIO()
    Image.fromarray(picture() if pixels is None else pixels, mode).save(file, "JPEG", **options)
    return file.getvalue()


def pngs():
    """{name: content} of PNGs of every colour type and depth, and with other chunks."""
    files = {}
    for colour, interlaced in itertools.product(CHANNELS, (False, True)):
        for depth in DEPTHS.get(colour, DEPTHS[RGB]):
            name = f"png {colour} {depth} {'interlaced' if interlaced else 'plain'}"
            files[name] = png(colour, depth, interlaced)
            files[f"{name} small"] = png(colour, depth, interlaced, size=(1, 3))
            if colour in TRANSPARENT:
                transparent = chunk(b"tRNS", TRANSPARENT[colour])
                files[f"{name} tRNS"] = png(colour, depth, interlaced, transparent)
    gamma = chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"sBIT", b"\5\6\5")
    files["png gamma"] = png(before=gamma + chunk(b"pHYs", bytes(9)))
    files["png sRGB"] = png(GREY, 16, before=chunk(b"sRGB", b"\0") + chunk(b"bKGD", b"\0\1"))
    return files


def jpegs():
    """{name: content} of JPEGs of every colour space, sampling and coding."""
    files = {}
    for quality, sampling, progressive in itertools.product((5, 75, 100), range(3), (False, True)):
        name = f"jpeg {quality} {sampling} {'progressive' if progressive else 'sequential'}"
        options = {"quality": quality, "subsampling": sampling, "progressive": progressive}
        files[name] = jpeg(**options)
        files[f"{name} small"] = jpeg(picture(size=(9, 1)), **options)
    flags = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_PROGRESSIVE)
    for values in itertools.product(SAMPLINGS, (0, 1), (0, 3)):
        words = zip((*flags, cv2.IMWRITE_JPEG_RST_INTERVAL), values)
        _, data = cv2.imencode(".jpg", picture(), list(itertools.chain(*words)))
        files["jpeg {:x} {} {}".format(*values)] = data.tobytes()
    files["jpeg grey"] = jpeg(picture(1)[..., 0])
    files["jpeg RGB"] = jpeg(keep_rgb=True)
    cmyk = jpeg(picture(4), "CMYK")
    transform = cmyk.index(b"Adobe") + 11
    files["jpeg CMYK"] = cmyk
    files["jpeg CMYK progressive"] = jpeg(picture(4), "CMYK", progressive=True)
    files["jpeg CMYK without Adobe"] = cmyk.replace(b"Adobe", b"Other")
    files["jpeg YCCK"] = cmyk[:transform] + b"\2" + cmyk[transform + 1 :]
    files["jpeg profile"] = jpeg(icc_profile=bytes(3000), comment="text")
    files["jpeg without tables"] = without(jpeg(), HUFFMAN_TABLES)
    files["jpeg and more"] = jpeg() + b"more" * 100
    return files


def turned():
    """{name: content} of JPEGs and PNGs with each orientation, and with some that are none."""
    files = {}
    for orientation, order in itertools.product(range(10), "<>"):
        block = exif(orientation, order)
        name = f"{orientation}{order}"
        files[f"jpeg {name}"] = jpeg(exif=b"Exif\0\0" + block)
        files[f"png {name}"] = png(before=chunk(b"eXIf", block))
        files[f"png {name} after"] = png(after=chunk(b"eXIf", block))
    maker = struct.pack("<HHII", 0x010F, 2, 9, 8)
    files["jpeg maker"] = jpeg(exif=b"Exif\0\0" + exif(6, first=maker))
    outside = struct.pack("<HHII", 0x010F, 2, 1000, 8)
    files["jpeg maker outside"] = jpeg(exif=b"Exif\0\0" + exif(6, first=outside))
    for length in (7, 13, 20, 30):
        files[f"jpeg {length} bytes"] = jpeg(exif=b"Exif\0\0" + exif(6)[:length])
    files["jpeg no TIFF"] = jpeg(exif=b"Exif\0\0" + bytes(40))
    for other in (b"abc", b"http://ns.adobe.com/xap/1.0/\0<x/>"):  # segments of EXIF's kind, too
        segment = b"\xff\xe1" + struct.pack(">H", 2 + len(other)) + other
        whole = jpeg(exif=b"Exif\0\0" + exif(6))
        files[f"jpeg {len(other)} before"] = whole[:2] + segment + whole[2:]
    return files


def without(data, code):
    """A JPEG without the segments of a kind before its pixels."""
    out, at = data[:2], 2
    while data[at + 1] != START_OF_SCAN:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        out += b"" if data[at + 1] == code else data[at:end]
        at = end
    return out + data[at:]


def _packed(row, depth):
    """The bytes of a row of numbers."""
    if depth == 16:
        return row.astype(">u2").tobytes()
    bits = row[:, None] >> np.arange(depth)[::-1] & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()
