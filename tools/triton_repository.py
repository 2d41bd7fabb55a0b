"""Writes the model repository of a Triton Inference Server for a detector's .onnx.

DIR/NAME/config.pbtxt has the names, types and shapes of the inputs and outputs, as they are in the
file, and, as the parameter "detkit", what detkit.load reads from the file's metadata: classes,
resize rule, threshold. DIR/NAME/1/model.onnx is a copy of the file. Triton's back end onnxruntime
runs it: tritonserver --model-repository=DIR
"""

import argparse
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any, Iterable, List, Optional

from detkit.cli import debug_argument, positive, run
from detkit.errors import DataError, ExportError
from detkit.export.onnx_manifest import read_onnx_manifest
from detkit.files.disk import make_folder, whole_file
from detkit.wording import install

NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # of models; a name is a folder's, too
FREE = -1  # Triton's length of a side that may have any


def main(argv: Optional[List[str]] = None) -> None:
    """Writes the folder of one model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("onnx", metavar="ONNX", help="a file that detkit export --onnx wrote")
    parser.add_argument("--out", metavar="DIR", required=True, help="the model repository")
    parser.add_argument("--name", default="detector", help="of the model; default: detector")
    parser.add_argument(
        "--most",
        type=positive,
        default=8,
        metavar="B",
        help="images that a request may have, all of one size; default: 8",
    )
    debug_argument(parser)
    args = parser.parse_args(argv)
    if not NAMES.fullmatch(args.name):
        raise DataError(f"--name: expected letters, digits and _.-, found {args.name!r}")
    folder = Path(args.out, args.name)
    text = config_of(args.onnx, args.name, args.most)
    make_folder(folder / "1")
    with whole_file(folder / "1/model.onnx") as part:
        shutil.copyfile(args.onnx, part)
    with whole_file(folder / "config.pbtxt") as part:
        part.write_text(text, encoding="utf-8")
    print(f"written: {folder}")


def config_of(path: str, name: str, most: int) -> str:
    """Returns the text of config.pbtxt, a ModelConfig of Triton's model_config.proto.

    Raises the errors of ``read_onnx_manifest``, and ExportError without the package onnx.
    """
    manifest, file = read_onnx_manifest(path)
    try:
        import onnx
    except ImportError as error:
        raise ExportError(
            f"{path}: expected the package onnx to read it, found none ({error}); {install('onnx')}"
        ) from error
    graph = onnx.ModelProto.FromString(file.data).graph
    weights = {each.name for each in graph.initializer}
    inputs = [each for each in graph.input if each.name not in weights]
    return "\n".join(
        [
            f"name: {quoted(name)}",
            'backend: "onnxruntime"',
            f"max_batch_size: {most}",
            *tensors("input", inputs),
            *tensors("output", graph.output),
            "parameters {",
            '  key: "detkit"',
            f"  value {{ string_value: {quoted(manifest.text())} }}",
            "}",
            "",
        ]
    )


def tensors(kind: str, values: Iterable[Any]) -> List[str]:
    """Returns the lines of inputs or outputs; Triton adds the number of images to their shapes."""
    lines = []
    for value in values:
        sides = value.type.tensor_type.shape.dim[1:]
        dims = [side.dim_value if side.HasField("dim_value") else FREE for side in sides]
        lines += [
            f"{kind} {{",
            f"  name: {quoted(value.name)}",
            "  data_type: TYPE_FP32",
            f"  dims: [{', '.join(map(str, dims))}]",
            "}",
        ]
    return lines


def quoted(text: str) -> str:
    """Returns a string of the text format of Protocol Buffers, which has JSON's escapes for ASCII.

    Other characters are written as the octal numbers of their bytes in UTF-8: \\u is not in all
    versions of the format.
    """
    whole = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isascii() else "".join(f"\\{b:03o}" for b in c.encode()) for c in whole)


if __name__ == "__main__":
    sys.exit(run(main))
