"""Images of every format whose headers ask for 30,000 x 20,000 pixels."""

import struct
import zlib

import cv2
import numpy as np

WIDE, HIGH = 30_000, 20_000


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, data=b""):
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = data or zlib.compress(bytes(height * (1 + -(-width // 8))), 9)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg(width, height):
    small = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    return small.replace(struct.pack(">HH", 8, 8), struct.pack(">HH", height, width), 1)


def bmp(width, height):
    small = bytearray(cv2.imencode(".bmp", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    small[18:26] = struct.pack("<ii", width, -height)
    return bytes(small)


def tiff(width, height):
    small = cv2.imencode(".tiff", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    (start,) = struct.unpack_from("<I", small, 4)
    data = bytearray(small)
    for tag, value in ((256, width), (257, height)):
        at = data.index(struct.pack("<H", tag), start)
        data[at + 2 : at + 12] = struct.pack("<HII", 4, 1, value)
    return bytes(data)


def webp(lossless):
    def make(width, height):
        quality = 101 if lossless else 50
        small = bytearray(
            cv2.imencode(
                ".webp", np.zeros((8, 8, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, quality]
            )[1].tobytes()
        )
        if lossless:
            small[21:25] = struct.pack("<I", (width - 1) | (height - 1) << 14)
        else:
            small[26:30] = struct.pack("<HH", width, height)
        return bytes(small)

    return make


LARGE = {
    "png": (png, WIDE, HIGH),
    "jpg": (jpeg, WIDE, HIGH),
    "bmp": (bmp, WIDE, HIGH),
    "tiff": (tiff, WIDE, HIGH),
    "lossy.webp": (webp(lossless=False), 16383, 16383),
    "lossless.webp": (webp(lossless=True), 16384, 16384),
}
