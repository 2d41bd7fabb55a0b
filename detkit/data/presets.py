"""Lists of transforms by name, for ``data.augment``: light, medium and strong.

``python tools/augmentation.py`` measures what each transform and each preset is worth;
configs/README.md has the figures.
"""

from typing import Any, Dict, List, Tuple

Plain = Dict[str, Any]  # a transform as in a config

LIGHT, MEDIUM, STRONG = "light", "medium", "strong"
PRESETS = (LIGHT, MEDIUM, STRONG)

# A preset joins these; it brings its own of all else.
JOINED = ("Resize", "HorizontalFlip", "VerticalFlip")
FLIP: Plain = {"type": "HorizontalFlip"}

# The number of training images below which a preset is proposed; more images need less of it.
FEW_IMAGES, MANY_IMAGES = 100, 2000

_MILD_COLOUR: Plain = {
    "type": "Photometric",
    "brightness": 16,
    "contrast": [0.8, 1.2],
    "saturation": [0.8, 1.2],
    "hue": 6,
}
_NO_TURN: Plain = {"angle": 0, "shear": 0}
_AFTER: Dict[str, Tuple[Plain, ...]] = {
    LIGHT: (_MILD_COLOUR,),
    MEDIUM: (
        {"type": "Affine", **_NO_TURN, "scale": [0.75, 1.33], "translate": 0.05},
        _MILD_COLOUR,
    ),
    STRONG: (
        {"type": "Affine", **_NO_TURN, "scale": [0.5, 1.5], "translate": 0.1},
        {"type": "Photometric"},
    ),
}


def following(preset: str) -> List[Plain]:
    """Returns the transforms of one of PRESETS behind Resize and the flips, as in a config."""
    return [dict(transform) for transform in _AFTER[preset]]


def preset_for(images: int) -> str:
    """Returns the preset for a number of training images."""
    if images < FEW_IMAGES:
        return STRONG
    return MEDIUM if images < MANY_IMAGES else LIGHT
