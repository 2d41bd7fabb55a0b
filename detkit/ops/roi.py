"""RoI pooling: features under a box, as P x P cells."""

from detkit.ops.rows import finite

# ROIAlign aborts the process on a box without area, which float32 makes of a thin box far from the
# origin; and a box far larger than any image would only waste time.
SMALLEST_SIDE = 1e-2
FARTHEST = 1e4


def _batch_rois(F, rois):
    """RoIs (B, R, 4) as MXNet wants them: (B * R, 5) with the image's number first.

    Every image index is in 0..B-1: ROIAlign on a negative one writes into a neighbour's output.
    """
    x1, y1, x2, y2 = F.split(F.clip(finite(F, rois, 0), -FARTHEST, FARTHEST), 4, axis=2)
    x2 = F.maximum(x2, x1 + SMALLEST_SIDE)
    y2 = F.maximum(y2, y1 + SMALLEST_SIDE)
    image = F.reshape(F.contrib.arange_like(rois, axis=0), shape=(-1, 1, 1))
    rows = F.concat(F.broadcast_like(image, x1), x1, y1, x2, y2, dim=2)
    return F.reshape(rows, shape=(-3, 0))


def roi_align(F, features, rois, size, stride, sampling, aligned):
    """RoIAlign (He et al. 2017, section 3): (B * R, C, size, size).

    features (B, C, H, W) at ``stride``, rois (B, R, 4) in image pixels; ``sampling`` points per
    cell and axis (0: as many as cover the RoI); ``aligned`` shifts by half a pixel, as
    Detectron2 does. Empty, inverted and non-finite RoIs give defined values.
    """
    return F.contrib.ROIAlign(
        features,
        _batch_rois(F, rois),
        pooled_size=(size, size),
        spatial_scale=1.0 / stride,
        sample_ratio=sampling or -1,
        aligned=aligned,
    )


def roi_pool(F, features, rois, size, stride):
    """RoIPool (Girshick 2015, section 2.1): the maximum of each cell, (B * R, C, size, size).

    features (B, C, H, W) at ``stride``, rois (B, R, 4) in image pixels.
    """
    return F.ROIPooling(
        features, _batch_rois(F, rois), pooled_size=(size, size), spatial_scale=1.0 / stride
    )
