"""The forms of a detector: the files of an export, each with a runtime that is installed here."""

import os
from typing import Iterable, List, NamedTuple, Optional

from detkit.errors import ExportError
from detkit.export.manifest import BFLOAT16, FLOAT32, INT8, MANIFEST, parse_manifest
from detkit.export.runtimes.choice import installed, is_export
from detkit.export.runtimes.names import FOR_ONNX, MXNET, ONNX, ONNX_INT8, ONNX_NNCF, is_onnx
from detkit.wording import install

TITLES = {FLOAT32: "float32 symbol", BFLOAT16: "bfloat16 symbol", INT8: "INT8 symbol"}
ONNX_FILES = (ONNX, ONNX_INT8, ONNX_NNCF)
QUANTIZED = b"DequantizeLinear"  # the operator that each layer of 8 bits in an .onnx has before it


class Form(NamedTuple):
    """A form of a detector.

    name: for people. path: what detkit.load takes. runtime: the name of what runs it. precision: of
    its layers, FLOAT32, BFLOAT16 or INT8. size: bytes on the disk.
    """

    name: str
    path: str
    runtime: str
    precision: str
    size: int


class Candidates(NamedTuple):
    """The forms, and a line about each that is left out."""

    forms: List[Form]
    left_out: List[str]


def candidates(paths: Iterable[str], runtime: Optional[str] = None) -> Candidates:
    """Returns the forms of folders of exports and of .onnx files, those in float32 first.

    runtime: the only one that counts; None: each that is installed.

    Raises ExportError for a damaged folder, for a path that is neither, and if there is no form.
    """
    paths = list(paths)
    found = Candidates([], [])
    for path in paths:
        if is_onnx(path):
            _add_onnx(found, path)
        elif is_export(path):
            _add_folder(found, path)
        else:
            raise ExportError(
                f"{path}: expected an .onnx or the folder of an export, found neither"
            )
    forms = [form for form in found.forms if runtime in (None, form.runtime)]
    if not forms:
        wanted = f" by {runtime}" if runtime else ""
        raise ExportError(
            f"{', '.join(paths)}: expected at least one form that can be run here{wanted}, found "
            f"none{'; ' * bool(found.left_out)}{'; '.join(found.left_out)}"
        )
    return Candidates(sorted(forms, key=lambda form: form.precision != FLOAT32), found.left_out)


def _add_folder(found: Candidates, folder: str) -> None:
    """Adds the symbol of an export, and each .onnx beside it."""
    manifest = parse_manifest(folder)
    if installed(MXNET):
        files = (os.path.join(folder, name) for name in (MANIFEST, *manifest.files))
        size = sum(os.path.getsize(file) for file in files if os.path.isfile(file))
        title = TITLES[manifest.precision]
        found.forms.append(Form(title, folder, MXNET, manifest.precision, size))
    else:
        found.left_out.append(f"{folder}: the symbol: MXNet is not installed")
    for path in (os.path.join(folder, name) for name in ONNX_FILES):
        if os.path.isfile(path):
            _add_onnx(found, path)


def _add_onnx(found: Candidates, path: str) -> None:
    """Adds an .onnx with each runtime that is installed."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}") from error
    precision = INT8 if QUANTIZED in content else FLOAT32
    for runtime in FOR_ONNX:
        if installed(runtime):
            form = Form(os.path.basename(path), path, runtime, precision, len(content))
            found.forms.append(form)
        else:
            found.left_out.append(
                f"{os.path.basename(path)} by {runtime}: it is not installed; {install(runtime)}"
            )
