"""Times whole detectors: detkit's forms of one beside each other, and beside its peers.

Each side is a process of its own, and they are run in turn, so that what else the machine does hits
all of them. They get the same drawn weights and the same pictures as uint8 arrays, and give what
they find as numpy arrays, masks pasted into the image (ONNX Runtime's are left as they come);
nothing is resized. First, all in full precision have to find the same. DETKIT_ISA holds all of them
to a level of instructions; what this processor would only emulate is left out, and a line says so.

A peer may be another interpreter, without detkit: --peer torchvision=/path/to/python. Ratios say
how many times as long as the fastest of detkit's forms something takes.
"""

import argparse
import json
import platform
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "benchmark"))

import report
from limit import described
from plan import FILES, FORMS, PEERS, SWEEP, TRAINED, left_out, specs
from processes import run_once
from session import Session

import detkit
from detkit.cli import debug_argument, positive, run

MODELS = ("fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn", "fasterrcnn_vgg16")
TRAINED_MODELS = ("fasterrcnn_vgg16", "fasterrcnn_resnet50_fpn")
SIZE = (600, 800)


def main(argv=None):
    """Measure, print, write."""
    args = parsed(argv)
    if args.plot:
        report.pyplot()
    versions = f"detkit {detkit.__version__}, Python {platform.python_version()}"
    print(f"{args.processor}; {args.threads} threads; {versions}", flush=True)
    for side, reason in args.left_out.items():
        print(f"{side} is left out: {reason}", flush=True)
    found = []
    for model in args.models:
        with tempfile.TemporaryDirectory() as folder:
            write_files(model, Path(folder), args)
            if args.detect:
                found += detecting(model, folder, args)
            if args.train and model in TRAINED_MODELS:
                found += training(model, folder, args)
        write_figures(found, args)  # a later detector may fail


def parsed(argv):
    """The arguments, checked and completed."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_sides(parser)
    add_measures(parser)
    debug_argument(parser)
    args = parser.parse_args(argv)
    for model in args.models:
        if model not in MODELS:
            parser.error(f"no model {model!r}; there are {', '.join(MODELS)}")
    args.models = args.models or MODELS
    args.peers = dict(args.peers)
    leave_out(parser, args)
    if not args.train and not args.detect:
        parser.error("--no-detect without --train leaves nothing to measure")
    if args.train and not set(TRAINED) & set(args.forms):
        parser.error(f"--train needs a form that can be trained, {' or '.join(TRAINED)}")
    return args


def leave_out(parser, args):
    """Adds ``left_out``, {side: why}, and ``processor``, a line; ``forms`` keeps the others."""
    forms = args.forms or FORMS
    args.processor, args.left_out = described(), left_out(forms, args.peers)
    args.forms = [form for form in forms if f"detkit {form}" not in args.left_out]
    if not args.forms:
        reasons = (args.left_out[f"detkit {form}"] for form in forms)
        parser.error(f"nothing is left of --forms {' '.join(forms)}: {'; '.join(reasons)}")


def add_sides(parser):
    """Adds what is run, and on which images."""
    parser.add_argument("models", metavar="MODEL", nargs="*", help=f"of {', '.join(MODELS)}")
    parser.add_argument(
        "--size", type=size, nargs="+", default=[SIZE], metavar="HxW", help="default: 600x800"
    )
    parser.add_argument("--batch", type=positive, default=1, help="images at once")
    parser.add_argument("--threads", type=positive, default=2)
    parser.add_argument("--forms", nargs="+", choices=FORMS, help="of detkit; default: all")
    parser.add_argument(
        "--peer",
        dest="peers",
        action="append",
        default=[],
        type=peer,
        metavar="NAME[=PYTHON]",
        help=f"of {', '.join(PEERS)}, and its interpreter where it is not this one",
    )


def add_measures(parser):
    """Adds what is measured of it."""
    parser.add_argument("--rounds", type=positive, default=7, help="runs of each side")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: seconds of all threads together, which other programs disturb less",
    )
    parser.add_argument(
        "--train",
        action="store_true",
        help=f"a step of training as well, of {' and '.join(TRAINED_MODELS)}",
    )
    parser.add_argument(
        "--no-detect", dest="detect", action="store_false", help="with --train: nothing else"
    )
    parser.add_argument("--stages", action="store_true", help="the time of each part as well")
    parser.add_argument("--floor", action="store_true", help="and that of one large convolution")
    parser.add_argument("--sweep", action="store_true", help="several image sizes and batches")
    parser.add_argument("--no-compare", action="store_true", help="time sides that disagree too")
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    parser.add_argument("--plot", metavar="FILE.png", help="draw them, with Matplotlib")


def size(text):
    """The type of --size: (height, width)."""
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"expected height x width, as 600x800, found {text!r}")
    return tuple(int(side) for side in text.split("x"))


def peer(text):
    """The type of --peer: (name, interpreter or None)."""
    name, _, python = text.partition("=")
    if name not in PEERS:
        raise argparse.ArgumentTypeError(f"no peer {name!r}; there are {', '.join(PEERS)}")
    return name, python or None


def write_files(model, folder, args):
    """The drawn weights, and what the forms need that are read from files."""
    state = folder / "state.npz"
    run_once("state", model, state)
    if not args.detect:
        return
    for kind in sorted({FILES[form] for form in args.forms if form in FILES}):
        run_once(kind, model, state, folder / kind)
    if "onnxruntime" in args.peers and "onnxruntime fp32" not in args.left_out:
        run_once("onnx", model, state, folder / "model.onnx")


def write_figures(found, args):
    """All figures there are, as a file and a picture."""
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)
    if args.plot and found:
        report.plot(found, args.plot)


def sides(model, folder, forms, args, training):
    """The Specs of what is measured."""
    all_sides = specs(model, Path(folder), forms, args.peers, training, args.clock)
    return [spec for spec in all_sides if spec.name not in args.left_out]


def detecting(model, folder, args):
    """The figures of detecting at each size and batch, as they are written to --json."""
    chosen = sides(model, folder, args.forms, args, training=False)
    found = []
    with Session(chosen, args.threads, folder) as session:
        for each, batch in points(args):
            session.use(each, batch)
            shares = session.shares(not args.no_compare)
            figures = measure(session, model, chosen, args, each, batch, shares)
            if args.stages:
                figures["stages"] = session.stages(args.rounds)
                print(report.stage_table(figures["stages"]), flush=True)
            found.append(figures)
        if args.floor:
            found[-1]["floor"] = session.floors()
            print(report.floor_table(found[-1]["floor"]))
    return found


def training(model, folder, args):
    """The figures of a step of training, at the first size."""
    forms = [form for form in TRAINED if form in args.forms]
    chosen = sides(model, folder, forms, args, training=True)
    with Session(chosen, args.threads, folder) as session:
        session.use(args.size[0], args.batch)
        return [measure(session, model, chosen, args, args.size[0], args.batch)]


def measure(session, model, chosen, args, pixels, batch, shares=None):
    """The figures of all sides for images of one size, printed too; ``shares`` when detecting."""
    taken, peaks = session.times(args.rounds), session.peaks()
    rows = {
        spec.name: report.row(
            spec,
            taken[spec.name],
            args.clock,
            peaks[spec.name],
            shares[spec.name] if shares else None,
            session.about[spec.name],
        )
        for spec in chosen
    }
    figures = {"model": model, "training": shares is None, "size": pixels, "batch": batch}
    figures.update(processor=args.processor, threads=args.threads, clock=args.clock)
    figures.update(left_out=args.left_out, sides=rows)
    print(f"\n{report.table(figures)}", flush=True)
    return figures


def points(args):
    """[(size, batch)] to be measured."""
    if not args.sweep:
        return [(each, args.batch) for each in args.size]
    sizes, batches = SWEEP
    return [(each, 1) for each in sizes] + [(args.size[0], batch) for batch in batches if batch > 1]


if __name__ == "__main__":
    sys.exit(run(main))
