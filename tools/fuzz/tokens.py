"""Numbers, values and pieces of text that the readers of files may not expect."""

from typing import Any, Dict, Tuple

NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
TEXT_NUMBERS = tuple(
    text.encode()
    for text in (
        "0",
        "-1",
        "1e308",
        "nan",
        "inf",
        "-inf",
        "2147483648",
        "9" * 30,
        "9" * 5000,
        "0.5",
    )
)
HOSTILE: Tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 2**20, 2**31, 2**63, 10**400, 1e308, 1e-320, 0.5),
    *(float("nan"), float("inf"), "", "x", "x" * 5000, "\ud800", "\0", "../../x", "/etc/passwd"),
    *(
        [],
        {},
        [[]],
        [0] * 1000,
        {"a": {}},
        [[0, 0, 9e9, 9e9, 1, 1]],
        {"size": [1, 1], "counts": "0"},
    ),
)
TOKENS: Dict[str, Tuple[bytes, ...]] = {
    ".yaml": (
        *(
            b"&a ",
            b"*a",
            b"<<: *a\n",
            b"!!python/object/apply:os.system [id]",
            b"${HOME}",
            b"${X:1}",
        ),
        *(
            b"${",
            b"[",
            b"{",
            b"- ",
            b"? ",
            b"|\n ",
            b": ",
            b"1e999",
            b'"\\ud800"',
            b'"\\0"',
            b"\n---\n",
        ),
        *(b"_base_: /etc/passwd\n", b"_base_: b.yaml\n", b"_base_: a.yaml\n", b"_delete_: true\n"),
        *(b"9" * 5000, b"[" * 2000, b"x" * 5000, b"a: " * 200, b"\xff", b"# "),
    ),
    ".xml": (
        *(
            b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
            b"&b;",
            b"<object>",
            b"</object>",
            b"<![CDATA[",
            b"nan",
        ),
        *(
            b"../../../x",
            b"/etc/passwd",
            b"x" * 5000,
            b"<a>" * 3000,
            b"\xff",
            b"<?xml encoding='u7'?>",
        ),
    ),
    ".txt": (
        *(b"../x\n", b"/etc/passwd\n", b"x" * 5000 + b"\n"),
        *(b"\0", b"\xff", b"a\n", b"a -1\n", b"\n"),
    ),
    ".csv": (
        *(b"../x,", b"/etc/passwd,", b"x" * 5000, b"x" * 140000, b'"', b'""', b",", b"\n", b"\r"),
        *(b"\0", b"\xff", b"nan", b"inf", b"-1", b"9" * 5000, b",,,,,,,,\n", b"\t", b";"),
    ),
    ".json": (b"[" * 100000, b'{"a":' * 3000, b"NaN", b"\xff", b",", b"]", b'"\\ud800"', b"\0"),
    ".pkl": (
        *(
            b"2",
            b"\x85",
            b"\x86",
            b"\x87",
            b"R",
            b"b",
            b"}",
            b"(",
            b"t",
            b"s",
            b"u",
            b"e",
            b"a",
            b"0",
        ),
        *(
            b"q\0",
            b"h\0",
            b"\x94",
            b"2\x86" * 40,
            b"h\0h\0\x86q\0" * 40,
            b"cos\nsystem\n",
            b"]" * 5000,
        ),
        *(
            b"\x8a\x08" + b"\xff" * 8,
            b"\x8b\xff\xff\xff\x7f",
            b"X\xff\xff\xff\xff",
            b"Q",
            b"\x81",
            b"\x93",
        ),
        *(
            b"r\xff\xff\xff\xff",
            b"I" + b"9" * 5000 + b"\n",
            b")",
            b"N",
            b"K\x01",
            b"\x88",
            b"]",
            b"1",
        ),
    ),
}
