"""Names and shapes of Detectron2's weights, from how it builds its networks."""

COUNTS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def _layer(name, *shape):
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _conv_norm(name, out, before, side):
    norms = {f"{name}.norm.{kind}": (out,) for kind in ("weight", "bias")}
    norms.update({f"{name}.norm.running_{kind}": (out,) for kind in ("mean", "var")})
    return {f"{name}.weight": (out, before, side, side), **norms}


def _stage(name, stage, count):
    """Bottleneck blocks: a stage's channels are 256 for res2, twice as many for each after it."""
    out = 256 * 2 ** (stage - 2)
    width, before = out // 4, 64 if stage == 2 else out // 2
    shapes = _conv_norm(f"{name}.0.shortcut", out, before, 1)
    for block in range(count):
        place = f"{name}.{block}"
        shapes.update(_conv_norm(f"{place}.conv1", width, before if block == 0 else out, 1))
        shapes.update(_conv_norm(f"{place}.conv2", width, width, 3))
        shapes.update(_conv_norm(f"{place}.conv3", out, width, 1))
    return shapes


def _rpn(channels, anchors):
    head = "proposal_generator.rpn_head"
    return {
        **_layer(f"{head}.conv", channels, channels, 3, 3),
        **_layer(f"{head}.objectness_logits", anchors, channels, 1, 1),
        **_layer(f"{head}.anchor_deltas", 4 * anchors, channels, 1, 1),
    }


def _predictor(width, classes):
    return {
        **_layer("roi_heads.box_predictor.cls_score", classes + 1, width),
        **_layer("roi_heads.box_predictor.bbox_pred", 4 * classes, width),
    }


def _masks(before, classes):
    deconv = "roi_heads.mask_head.deconv"
    return {
        f"{deconv}.weight": (before, 256, 2, 2),
        f"{deconv}.bias": (256,),
        **_layer("roi_heads.mask_head.predictor", classes, 256, 1, 1),
    }


def c4_shapes(depth, classes=80, masks=False):
    """faster_rcnn_R_*_C4, or mask_rcnn_R_*_C4."""
    counts = COUNTS[depth]
    shapes = _conv_norm("backbone.stem.conv1", 64, 3, 7)
    for stage in (2, 3, 4):
        shapes.update(_stage(f"backbone.res{stage}", stage, counts[stage - 2]))
    shapes.update(_stage("roi_heads.res5", 5, counts[3]))
    if masks:
        shapes.update(_masks(2048, classes))
    return {**shapes, **_rpn(1024, 15), **_predictor(2048, classes)}


def _keypoint_head(keypoints=17):
    head, shapes, before = "roi_heads.keypoint_head", {}, 256
    for number in range(1, 9):
        shapes.update(_layer(f"{head}.conv_fcn{number}", 512, before, 3, 3))
        before = 512
    lowres = f"{head}.score_lowres"
    return {**shapes, f"{lowres}.weight": (512, keypoints, 4, 4), f"{lowres}.bias": (keypoints,)}


def fpn_shapes(depth, classes=80, masks=False, keypoints=False):
    """faster_rcnn_R_*_FPN, mask_rcnn_R_*_FPN or keypoint_rcnn_R_*_FPN."""
    shapes = _conv_norm("backbone.bottom_up.stem.conv1", 64, 3, 7)
    for stage, count in zip((2, 3, 4, 5), COUNTS[depth]):
        shapes.update(_stage(f"backbone.bottom_up.res{stage}", stage, count))
        before = 256 * 2 ** (stage - 2)
        shapes.update(_layer(f"backbone.fpn_lateral{stage}", 256, before, 1, 1))
        shapes.update(_layer(f"backbone.fpn_output{stage}", 256, 256, 3, 3))
    shapes.update(_layer("roi_heads.box_head.fc1", 1024, 256 * 7 * 7))
    shapes.update(_layer("roi_heads.box_head.fc2", 1024, 1024))
    if masks:
        for number in (1, 2, 3, 4):
            shapes.update(_layer(f"roi_heads.mask_head.mask_fcn{number}", 256, 256, 3, 3))
        shapes.update(_masks(256, classes))
    if keypoints:
        shapes.update(_keypoint_head())
    return {**shapes, **_rpn(256, 3), **_predictor(1024, classes)}


SHAPES = {
    "faster_rcnn_R_50_C4_1x": c4_shapes(50),
    "faster_rcnn_R_50_C4_3x": c4_shapes(50),
    "faster_rcnn_R_101_C4_3x": c4_shapes(101),
    "faster_rcnn_R_50_FPN_1x": fpn_shapes(50),
    "faster_rcnn_R_50_FPN_3x": fpn_shapes(50),
    "faster_rcnn_R_101_FPN_3x": fpn_shapes(101),
    "mask_rcnn_R_50_C4_1x": c4_shapes(50, masks=True),
    "mask_rcnn_R_50_C4_3x": c4_shapes(50, masks=True),
    "mask_rcnn_R_101_C4_3x": c4_shapes(101, masks=True),
    "mask_rcnn_R_50_FPN_1x": fpn_shapes(50, masks=True),
    "mask_rcnn_R_50_FPN_3x": fpn_shapes(50, masks=True),
    "mask_rcnn_R_101_FPN_3x": fpn_shapes(101, masks=True),
    "keypoint_rcnn_R_50_FPN_1x": fpn_shapes(50, classes=1, keypoints=True),
    "keypoint_rcnn_R_50_FPN_3x": fpn_shapes(50, classes=1, keypoints=True),
}
