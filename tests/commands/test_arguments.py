"""The arguments of all commands: one spelling for each, and the values that the code knows."""

import argparse
import re

import pytest

from detkit.commands.arguments import convert, export, fit_svms, label, predict, propose
from detkit.commands.line import COMMANDS, arguments_of
from detkit.converters import __all__ as CONVERTERS
from detkit.data.layouts import LAYOUTS
from detkit.data.proposers import MODES
from detkit.data.writers import IMAGES, WRITERS
from detkit.export.manifest import ANY, VNNI
from detkit.export.precision.calibrate import ENTROPY, NAIVE
from detkit.export.precision.quantize import KEEP
from detkit.fitting import FitOptions
from detkit.predictions.saves import LINKS, SAVES
from support import tiny


def parser_of(module):
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return parser


def actions():
    """(command, action) of every argument."""
    for command in COMMANDS:
        for action in parser_of(arguments_of(command))._actions:
            yield command, action


def test_a_flag_has_one_meaning_and_one_form_of_value():
    """One destination, one type and one number of values for a flag, whatever the command."""
    forms = {}
    for command, action in actions():
        for flag in action.option_strings:
            form = (action.dest, action.nargs, getattr(action.type, "__name__", None))
            forms.setdefault(flag, {}).setdefault(form, []).append(command)
    assert {flag: uses for flag, uses in forms.items() if len(uses) > 1} == {}


def test_flags_are_long_and_written_with_hyphens():
    flags = {flag for _, action in actions() for flag in action.option_strings}
    assert {flag for flag in flags if not re.fullmatch(r"--[a-z0-9]+(-[a-z0-9]+)*", flag)} == {"-h"}


def test_every_argument_is_explained():
    unexplained = [(command, action.dest) for command, action in actions() if not action.help]
    assert unexplained == []


def choices(module, flag):
    (found,) = [each for each in parser_of(module)._actions if flag in each.option_strings]
    return list(found.choices)


def test_choices_are_those_of_the_code():
    assert choices(convert, "--to") == list(WRITERS)
    assert choices(convert, "--layout") == list(LAYOUTS)
    assert choices(convert, "--images") == list(IMAGES)
    assert list(predict.FORMS) == list(SAVES)
    assert choices(predict, "--images") == choices(label, "--images") == list(LINKS)
    assert choices(export, "--calib-mode") == [NAIVE, ENTROPY]
    assert choices(export, "--int8-for") == [ANY, VNNI]
    assert f"default: {' '.join(KEEP)} for --int8" in " ".join(
        parser_of(export).format_help().split()
    )
    assert choices(propose, "--mode") == list(MODES)
    frameworks = [name[len("from_") :] for name in CONVERTERS if name.startswith("from_")]
    assert sorted(arguments_of("convert-weights").FRAMEWORKS) == sorted(frameworks)


def test_forms_are_separated_by_commas_and_known():
    assert predict.forms("yolo, csv,yolo,") == ["yolo", "csv"]
    for text, found in (("yolo,cvs", "'cvs'"), (",", "','")):
        with pytest.raises(argparse.ArgumentTypeError, match=f"expected some of .*, found {found}"):
            predict.forms(text)


def test_defaults_are_those_of_the_code():
    given = ["CONFIG", "CHECKPOINT", "--out", "DIR"]
    args, defaults = parser_of(fit_svms).parse_args(given), FitOptions()
    assert (args.passes, args.pairs, args.ridge) == defaults[:3]
    assert args.svm_c == defaults.svm.c


TOGETHER = {
    "train": [["C", "--force"], "--resume"],
    "export": [["C", "P", "--out", "D", "--calib", "3"], "--int8"],
    "convert-weights": [["gluoncv", "M", "--out", "D"], "FILE"],
    "test": [["C"], "CHECKPOINT"],
    "compress": [["C", "--ranks", "fc6=1", "--out", "D"], "CHECKPOINT"],
    "predict": [["C", "P", "--out", "D"], "CHECKPOINT"],
    "label": [["I", "--model", "M", "--to", "cvat", "--out", "D", "--prefix", "P"], "--prefix"],
    "anchors": [["D", "--long", "3"], "--short"],
    "browse": [["C", "--seed", "-1"], "--seed"],
    "propose": [["C", "--out", "D.npz", "--seed", "-1"], "--seed"],
}


@pytest.mark.parametrize("command", TOGETHER)
def test_what_does_not_go_together_is_named(command):
    module, (words, named) = arguments_of(command), TOGETHER[command]
    tiny.assert_says(module.wrong(parser_of(module).parse_args(words)), named)
    right = words[:-1] if command == "train" else words[:-2]
    if command == "convert-weights":
        right = ["torchvision", "M", "--out", "D"]
    elif command == "test":
        right = ["C", "P"]
    elif command == "compress":
        right = ["C", "P", *words[1:]]
    elif command == "predict":
        right = ["C", "P", "S", "--out", "D"]
    assert module.wrong(parser_of(module).parse_args(right)) is None
