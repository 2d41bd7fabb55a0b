"""Mutations of bytes, and of what JSON, zip archives and PNGs consist of."""

import copy
import io
import json
import random
import re
import struct
import zipfile
import zlib
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

from fuzz.graphs import of_graph
from fuzz.mat import of_mat
from fuzz.tokens import HOSTILE, NUMBERS, TEXT_NUMBERS, TOKENS

GRAPH = "model-symbol.json"


def mutated(name: str, data: bytes, draw: random.Random) -> bytes:
    """Returns other bytes for the file ``name``; most mutations keep the format's structure."""
    suffix = name[name.rfind(".") :]
    if name == GRAPH and draw.random() < 0.7:
        return of_graph(data, draw)
    structured = STRUCTURED.get(suffix)
    if structured and draw.random() < 0.6:
        return structured(data, draw)
    return of_bytes(data, draw, TOKENS.get(suffix, ()))


def of_bytes(data: bytes, draw: random.Random, tokens: Sequence[bytes] = ()) -> bytes:
    """Returns the bytes after one to four small changes."""
    content = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 2, 4))):
        change = draw.choice(CHANGES)
        if tokens and draw.random() < 0.5:
            start = draw.randrange(len(content) + 1)
            content[start : start + draw.choice((0, 0, 1, 8))] = draw.choice(tokens)
        else:
            change(content, draw)
    return bytes(content)


def _span(content: bytearray, draw: random.Random) -> slice:
    start = draw.randrange(len(content) + 1)
    return slice(start, start + draw.choice((1, 2, 4, 16, 64, 1024)))


def _flip(content: bytearray, draw: random.Random) -> None:
    if content:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def _random_bytes(content: bytearray, draw: random.Random) -> None:
    span = _span(content, draw)
    content[span] = bytes(draw.randrange(256) for _ in range(span.stop - span.start))


def _delete(content: bytearray, draw: random.Random) -> None:
    del content[_span(content, draw)]


def _repeat(content: bytearray, draw: random.Random) -> None:
    span = _span(content, draw)
    content[span] = content[span] * draw.choice((2, 3, 100))


def _move(content: bytearray, draw: random.Random) -> None:
    piece = content[_span(content, draw)]
    content[_span(content, draw)] = piece


def _cut(content: bytearray, draw: random.Random) -> None:
    del content[draw.randrange(len(content) + 1) :]


def _number(content: bytearray, draw: random.Random) -> None:
    layout = draw.choice("BHIQ")
    packed = struct.Struct(draw.choice("<>") + layout)
    start = draw.randrange(len(content) + 1)
    value = draw.choice(NUMBERS) % 256**packed.size
    content[start : start + packed.size] = packed.pack(value)


def _text_number(content: bytearray, draw: random.Random) -> None:
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?", bytes(content)))
    if found:
        start, end = draw.choice(found).span()
        content[start:end] = draw.choice(TEXT_NUMBERS)


CHANGES: Tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _flip, _random_bytes, _delete, _repeat, _move, _cut),
    *(_number, _number, _text_number, _text_number),
)


def of_json(data: bytes, draw: random.Random) -> bytes:
    """Returns JSON with up to three values replaced, dropped or repeated."""
    tree = [json.loads(data)]
    for _ in range(draw.choice((1, 1, 2, 3))):
        places = list(_places(tree))
        parent, key = draw.choice(places)
        kind = draw.random()
        if kind < 0.7:
            # A copy: the next change may be within it.
            parent[key] = copy.deepcopy(draw.choice(HOSTILE))
        elif kind < 0.8 and len(places) > 1 and parent is not tree:
            del parent[key]
        elif isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        else:
            parent[draw.choice(("id", "x", "size"))] = copy.deepcopy(parent[key])
    return json.dumps(tree[0] if tree else None).encode()


def _places(tree: Any) -> Iterator[Tuple[Any, Any]]:
    """Yields (container, key) of every value; a few of a long list of numbers."""
    keys: Any = list(tree) if isinstance(tree, dict) else range(min(len(tree), 20))
    for key in keys:
        yield tree, key
        if isinstance(tree[key], (dict, list)):
            yield from _places(tree[key])


def of_zip(data: bytes, draw: random.Random) -> bytes:
    """Returns an archive in which one member is mutated, with the right checksum."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members: List[Tuple[str, bytes]] = [(n, archive.read(n)) for n in archive.namelist()]
    chosen = draw.randrange(len(members))
    name, content = members[chosen]
    tokens = TOKENS.get(name[name.rfind(".") :], ())
    renamed = draw.choice((name, name, name, "../" + name))
    members[chosen] = renamed, of_bytes(content, draw, tokens)
    out = io.BytesIO()
    kind = draw.choice((zipfile.ZIP_STORED,) * 4 + (zipfile.ZIP_DEFLATED,))
    with zipfile.ZipFile(out, "w", kind) as archive:
        for name, content in members:
            # Without a ZipInfo, the time of day would be part of the case.
            archive.writestr(zipfile.ZipInfo(name), content, kind)
    return out.getvalue()


def of_safetensors(data: bytes, draw: random.Random) -> bytes:
    """Returns a file with a mutated header, whose length is right."""
    end = 8 + int.from_bytes(data[:8], "little")
    of_values = draw.random() < 0.6
    header = (
        of_json(data[8:end], draw) if of_values else of_bytes(data[8:end], draw, TOKENS[".json"])
    )
    return struct.pack("<Q", len(header)) + header + data[end:]


def of_png(data: bytes, draw: random.Random) -> bytes:
    """Returns a mutated PNG whose checksums are right."""
    head, body = data[:8], of_bytes(data[8:], draw)
    position, chunks = 0, [head]
    while position + 12 <= len(body):
        (length,) = struct.unpack_from(">I", body, position)
        chunk = body[position + 4 : position + 8 + min(length, len(body))]
        chunks += [body[position : position + 4], chunk, struct.pack(">I", zlib.crc32(chunk))]
        position += 12 + min(length, len(body))
    return b"".join(chunks)


def of_json_lines(data: bytes, draw: random.Random) -> bytes:
    """Returns JSON lines of which one is mutated as JSON."""
    lines = data.splitlines()
    chosen = draw.randrange(len(lines))
    lines[chosen] = of_json(lines[chosen], draw)
    return b"\n".join(lines)


STRUCTURED: Dict[str, Callable[[bytes, random.Random], bytes]] = {
    ".json": of_json,
    ".jsonl": of_json_lines,
    ".mat": lambda data, draw: of_mat(data, draw, of_bytes),
    ".npz": of_zip,
    ".pth": lambda data, draw: of_zip(data, draw) if data[:2] == b"PK" else of_bytes(data, draw),
    ".png": of_png,
    ".safetensors": of_safetensors,
}
