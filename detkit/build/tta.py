"""The section ``tta`` of a config -> the views of test-time augmentation, and their detector."""

from detkit.build.data import build_transforms, pad_multiple_of
from detkit.config import Config, place, section
from detkit.construct import construct
from detkit.detector import Detector
from detkit.errors import ConfigError
from detkit.tta import TTA, TTADetector

SECTION = "tta"


def build_tta(config: Config) -> TTA:
    """Returns the TTA of a config; without the section, all settings have their defaults.

    Raises ConfigError with the place, also if ``data.val_transforms`` give no size.
    """
    node = section(config, SECTION)
    tta: TTA = construct(TTA, node)
    try:
        tta.views(build_transforms(config, "val"), pad_multiple_of(config))
    except ValueError as error:
        raise ConfigError(f"{place(config, SECTION)}: {error}") from error
    return tta


def augmented(config: Config, detector: Detector) -> TTADetector:
    """Returns the detector with the test-time augmentation of a config.

    Raises ConfigError, see build_tta and TTADetector.
    """
    return TTADetector(detector, build_tta(config))
