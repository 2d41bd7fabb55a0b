"""Which sides there are: detkit's forms, ONNX Runtime with detkit's model, and the peers."""

from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional

from limit import why_left_out

FOLDER = Path(__file__).parent
FP32, BF16, INT8 = "fp32", "bf16", "int8"
FORMS = {  # of detkit: precision
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
TRAINED = ("hybridized", "static_alloc")
PEERS = {  # the precisions that each is run in
    "onnxruntime": (FP32,),
    "torchvision": (FP32, BF16),
    "gluoncv": (FP32,),
}
UNKNOWN = {"gluoncv": ("fasterrcnn_vgg16",)}  # detectors that a peer does not have
UNTRAINED = ("onnxruntime", "gluoncv")
SWEEP = ((320, 480), (480, 640), (600, 800), (800, 1088)), (1, 2, 4)  # sizes, batches


class Spec(NamedTuple):
    """A side to be measured.

    script, python: its worker and its interpreter; None for that of the tool. job: what the worker
    loads. compared: whether it has the weights of the others and so has to find the same.
    """

    name: str
    script: Path
    python: Optional[str]
    job: Dict[str, Any]
    compared: bool = True

    @property
    def precision(self):
        return self.job["precision"]


def left_out(forms, peers):
    """{side: why it is not measured on this processor}, of some of FORMS and of PEERS."""
    sides = {f"detkit {form}": ("detkit", FORMS[form]) for form in forms}
    for peer in peers:
        sides.update({f"{peer} {precision}": (peer, precision) for precision in PEERS[peer]})
    reasons = {side: why_left_out(*framework) for side, framework in sides.items()}
    return {side: reason for side, reason in reasons.items() if reason}


def specs(name, files, forms, peers, training=False, clock="wall"):
    """The Specs for the detector ``name``, detkit's first.

    files: a folder with the state, and with what the forms that are files need. forms: of FORMS.
    peers: {one of PEERS: its interpreter}.
    """

    def job(form, precision, model=None):
        return {
            "name": name,
            "state": str(files / "state.npz"),
            "form": form,
            "precision": precision,
            "model": model and str(files / model),
            "training": training,
            "clock": clock,
        }

    found = []
    for form in forms:
        description = job(form, FORMS[form], FILES.get(form))
        found.append(Spec(f"detkit {form}", FOLDER / "run_detkit.py", None, description))
    for peer, python in peers.items():
        if name in UNKNOWN.get(peer, ()) or training and peer in UNTRAINED:
            continue
        for precision in PEERS[peer]:
            model = "model.onnx" if peer == "onnxruntime" else None
            script = FOLDER / f"run_{peer}.py"
            spec = Spec(f"{peer} {precision}", script, python, job(peer, precision, model))
            found.append(spec._replace(compared=peer != "gluoncv"))
    return found
