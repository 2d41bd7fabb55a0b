"""The rows of the table of tools/augmentation.py, the most useful first."""

from typing import Dict, NamedTuple

from detkit.data.presets import LIGHT, MEDIUM, STRONG, following

from .bases import PLAIN, Change


class Row(NamedTuple):
    """A transform on the data on which it should help most.

    base: a key of BASES. change: the training without the transform, if ``removed``, or with it.
    """

    base: str
    change: Change
    removed: bool = False


def after(kind: str, **arguments: object) -> Change:
    """Returns the change by a transform behind Resize and HorizontalFlip."""
    return Change(after=[{"type": kind, **arguments}])


def instead(kind: str, **arguments: object) -> Change:
    """Returns the change by a transform instead of Resize."""
    return Change(resize={"type": kind, **arguments})


def before(kind: str, **arguments: object) -> Change:
    """Returns the change by a transform before Resize."""
    return Change(before=[{"type": kind, **arguments}])


def preset(name: str) -> Change:
    """Returns the change by a preset of ``data.augment``."""
    return Change(after=following(name))


# People differ in size, light and clothes, and have masks. Cells lie in any direction, under
# microscopes of any focus, on top of each other. Shapes have the largest range of sizes.
ROWS: Dict[str, Row] = {
    STRONG: Row("pennfudan", preset(STRONG)),
    f"{STRONG}-bccd": Row("bccd", preset(STRONG)),
    "CopyPaste": Row("pennfudan", after("CopyPaste")),
    "ScaleJitter": Row("pennfudan", instead("ScaleJitter", size=[320, 320], scale=[0.5, 1.5])),
    "Affine": Row("pennfudan", after("Affine")),
    "Photometric": Row("pennfudan", after("Photometric")),
    "VerticalFlip": Row("bccd", after("VerticalFlip")),
    "HorizontalFlip": Row("pennfudan", Change(flip=False), removed=True),
    "Mosaic": Row("pennfudan", after("Mosaic", size=[320, 320])),
    MEDIUM: Row("pennfudan", preset(MEDIUM)),
    LIGHT: Row("pennfudan", preset(LIGHT)),
    "RandomCrop": Row("pennfudan", before("RandomCrop")),
    "AspectCrop": Row("pennfudan", before("AspectCrop", low=0.99, high=0.99)),
    "several-sizes": Row("pennfudan", instead("Resize", short=[192, 224, 256, 288, 320], long=640)),
    f"{MEDIUM}-bccd": Row("bccd", preset(MEDIUM)),
    f"{LIGHT}-bccd": Row("bccd", preset(LIGHT)),
    "MixUp": Row("bccd", after("MixUp", p=0.5)),
    "Expand": Row("shapes", before("Expand")),
    "Cutout": Row("shapes", after("Cutout")),
    "Blur": Row("bccd", after("Blur")),
    "Noise": Row("bccd", after("Noise")),
    "JPEG": Row("bccd", after("JPEG")),
    "Greyscale": Row("pennfudan", after("Greyscale")),
}


def sides_of(name: str) -> Dict[str, str]:
    """Returns the variants of a row, {"without": one, "with": another}; "plain" is PLAIN."""
    row = ROWS[name]
    pair = (name, "plain") if row.removed else ("plain", name)
    return dict(zip(("without", "with"), pair))


def change_of(variant: str) -> Change:
    """Returns the change of a variant: "plain", or the name of a row."""
    return PLAIN if variant == "plain" else ROWS[variant].change
