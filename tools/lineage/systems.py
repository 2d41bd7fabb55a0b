"""The systems that tools/lineage.py trains, in the order of their papers."""

from typing import Dict, NamedTuple, Sequence, Tuple

OWN, STORED_SEARCH, STORED_RPN = "RPN, its own", "search", "rpn"  # where proposals come from
RPN_CONFIG = "bccd/rpn_mobilenet_v2_bccd.yaml"
STAGES = 4  # of the alternating regime, which share the epochs
BACKBONE = "model.backbone"


class System(NamedTuple):
    """A system: its title, config, the source of its proposals, and how it is trained.

    config: the file below configs/.
    proposals: OWN, STORED_SEARCH or STORED_RPN.
    seeds: whether it is trained once for each seed, or once.
    is_fitted: whether tools/fit_svms.py follows the training.
    stages: the number of stages that share the epochs.
    backbone: the key path of the network that VGG16 replaces.
    """

    title: str
    config: str
    proposals: str
    seeds: bool = False
    is_fitted: bool = False
    stages: int = 1
    backbone: str = BACKBONE


SYSTEMS: Dict[str, System] = {
    "rcnn": System(
        "R-CNN (2014)", "bccd/rcnn_mobilenet_v2_bccd.yaml", STORED_SEARCH, is_fitted=True
    ),
    "spp_net": System(
        "SPP-net (2014)",
        "bccd/spp_net_mobilenet_v2_bccd.yaml",
        STORED_SEARCH,
        backbone=f"{BACKBONE}.backbone",
    ),
    "fast_search": System(
        "Fast R-CNN (2015)", "bccd/fast_rcnn_mobilenet_v2_bccd.yaml", STORED_SEARCH
    ),
    "fast_rpn": System(
        "Fast R-CNN on an RPN's proposals", "bccd/fast_rcnn_mobilenet_v2_bccd.yaml", STORED_RPN
    ),
    "alternating": System(
        "Faster R-CNN (2015), alternating",
        "bccd/faster_rcnn_mobilenet_v2_bccd_alternating.yaml",
        OWN,
        seeds=True,
        stages=STAGES,
    ),
    "joint": System(
        "Faster R-CNN, joint", "bccd/faster_rcnn_mobilenet_v2_bccd.yaml", OWN, seeds=True
    ),
    "exact": System(
        "Faster R-CNN, exact", "bccd/faster_rcnn_mobilenet_v2_bccd_exact.yaml", OWN, seeds=True
    ),
    "mask": System(
        "Mask R-CNN (2017), on pennfudan",
        "pennfudan/mask_rcnn_mobilenet_v2_fpn_pennfudan.yaml",
        OWN,
    ),
}


def schedule(epochs: int, stages: int) -> Sequence[str]:
    """Returns the overrides of the schedule of a run, of which each stage has its share.

    The rate falls to a tenth after three quarters of a stage, and rises over its first steps: the
    schedule of configs/bccd/ for four epochs, and in proportion for others.
    """
    own = epochs // stages
    drops = f"{{type: StepSchedule, drops: [{0.75 * own:g}], warmup_steps: {200 // stages}}}"
    return f"train.epochs={own}", f"train.schedule={drops}"


def vgg16_instead(system: System) -> Tuple[str, ...]:
    """Returns the overrides that put VGG16 into a system; its weights are read as before."""
    kind = "{_delete_: true, type: VGG, depth: 16, norm: null, frozen_stages: 2}"
    return f"{system.backbone}={kind}", f"{BACKBONE}.pretrained=vgg16"
