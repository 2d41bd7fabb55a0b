"""The sides that tools/benchmark*.py can measure: detkit's forms, its program and the peers."""

from pathlib import Path
from typing import Any, Collection, Dict, Iterable, List, Mapping, NamedTuple, Optional

from ..instruction_limit import why_left_out

FP32, BF16, INT8 = "fp32", "bf16", "int8"
FORMS = {  # detkit's forms of a detector, and their precisions
    "eager": FP32,
    "hybridized": FP32,
    "static_alloc": FP32,
    "static_shape": FP32,
    "exported": FP32,
    "fused": FP32,
    "bf16": BF16,
    "int8": INT8,
}
FILES = {"exported": "exported", "fused": "exported", "bf16": "bf16", "int8": "int8"}  # folders
PROGRAM_FORMS = ("exported", "bf16", "int8")  # those that tools/deploy/detect loads
TRAINABLE = ("hybridized", "static_alloc", "bf16")
PEERS = {  # the precisions that each peer is run in
    "onnxruntime": (FP32,),
    "torchvision": (FP32, BF16),
    "gluoncv": (FP32,),
    "openvino": (FP32, BF16),
    "torchvision_compiled": (FP32, BF16),  # torch.compile, in the memory format channels_last
}
SCRIPTS = {"torchvision_compiled": "torchvision"}  # workers that are named otherwise than the peer
ONNX = "model.onnx"
ONNX_PEERS = ("onnxruntime", "openvino")  # the peers that run detkit's ONNX model
MISSING = {  # detectors that a peer does not have
    "gluoncv": ("fasterrcnn_vgg16", "keypointrcnn_resnet50_fpn")
}
NOT_TRAINABLE = (*ONNX_PEERS, "gluoncv", "torchvision_compiled")
SWEEP = ((320, 480), (480, 640), (600, 800), (800, 1088)), (1, 2, 4)  # sizes, batches
FOLDER = Path(__file__).resolve().parent


class Side(NamedTuple):
    """A detector of one framework in one form, which a worker process of its own runs.

    Attributes:
        name: the name in tables and messages.
        script: the file that the worker runs.
        python: the worker's interpreter; None for the interpreter of the tool.
        job: what the worker loads: name, state, form, precision, model, training, clock.
        compared: whether the side has the same weights as the others and must agree with them.
    """

    name: str
    script: Path
    python: Optional[str]
    job: Dict[str, Any]
    compared: bool = True

    @property
    def precision(self) -> str:
        return self.job["precision"]


def left_out(forms: Iterable[str], peers: Iterable[str]) -> Dict[str, str]:
    """Returns {name of a side: why this processor cannot measure it} of some FORMS and PEERS."""
    sides = {f"detkit {form}": ("detkit", FORMS[form]) for form in forms}
    for peer in peers:
        sides.update({f"{peer} {precision}": (peer, precision) for precision in PEERS[peer]})
    reasons = {name: why_left_out(*framework) for name, framework in sides.items()}
    return {name: reason for name, reason in reasons.items() if reason}


def sides_of(
    detector: str,
    files: Path,
    forms: Collection[str],
    peers: Mapping[str, Optional[str]],
    training: bool = False,
    clock: str = "wall",
) -> List[Side]:
    """Returns the sides that run a detector, detkit's first.

    files: the folder of the weights and of the files that some forms load. forms: names of FORMS.
    peers: {name of PEERS: its interpreter}.
    """

    def job(form: str, precision: str, model: Optional[str] = None) -> Dict[str, Any]:
        """Returns the job of a worker, see Side. model: a name in ``files``."""
        return {
            "name": detector,
            "state": str(files / "state.npz"),
            "form": form,
            "precision": precision,
            "model": model and str(files / model),
            "training": training,
            "clock": clock,
        }

    made = []
    for form in forms:
        description = job(form, FORMS[form], FILES.get(form))
        made.append(Side(f"detkit {form}", FOLDER / "worker_detkit.py", None, description))
    for peer, python in peers.items():
        if detector in MISSING.get(peer, ()) or training and peer in NOT_TRAINABLE:
            continue
        for precision in PEERS[peer]:
            description = job(peer, precision, ONNX if peer in ONNX_PEERS else None)
            script = FOLDER / f"worker_{SCRIPTS.get(peer, peer)}.py"
            side = Side(f"{peer} {precision}", script, python, description)
            made.append(side._replace(compared=peer != "gluoncv"))
    return made


def program_sides(
    detector: str, files: Path, forms: Collection[str], program: Optional[Path]
) -> List[Side]:
    """Returns the sides of tools/deploy/detect, one for each of the forms that it can load.

    files: the folder of ``sides_of``. program: the built program; None for no sides.
    """
    made = []
    for form in PROGRAM_FORMS if program else ():
        if form in forms:
            job = {
                "name": detector,
                "form": form,
                "precision": FORMS[form],
                "model": str(files / FILES[form]),
                "program": str(program),
                "clock": "wall",
            }
            script = FOLDER / "worker_program.py"
            made.append(Side(f"detkit C++ {form}", script, None, job))
    return made
