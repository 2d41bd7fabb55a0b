"""The numbers that Python, C++ and CUDA share, under one name each.

``ops/native/kernels.h``, the specification of the operators, defines each of them under the same
name with the prefix DETKIT_. The fallback and the ONNX translation of the operators use these.
"""

import math

PADDING = -1  # the label of a row without an object
CROWD = -2  # the label of a region that is ignored: a crowd of COCO, a difficult object of VOC

# Detectron's clamp: exp() of a larger dw or dh would give boxes larger than any image.
MAX_LOG_SCALE = math.log(1000 / 16)
MIN_PROPOSAL_SIDE = 1e-3  # pixels

# RoIs are clamped to these limits, in pixels, before features are pooled from them.
MAX_ROI_COORDINATE = 1e4
MIN_ROI_SIDE = 1e-2
# This is added to the level that an RoI is pooled from, because rounding could otherwise assign an
# RoI of exactly the canonical size to the level below.
LEVEL_SLACK = 1e-6

MIN_UNION = 1e-30  # square pixels; the divisor of an IoU is at least this
