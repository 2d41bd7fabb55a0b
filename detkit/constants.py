"""The numbers that Python, C++ and CUDA share, under one name each.

``ops/native/kernels.h``, the specification of the operators, has each of them under the same name
with the prefix DETKIT_. The fallback and the ONNX translation of the operators compute with these.
"""

import math

PADDING = -1  # the label of a row without an object
CROWD = -2  # the label of a region to be ignored: COCO's crowds, VOC's difficult objects

# exp() of a larger dw or dh would make boxes beyond any image: Detectron's clamp.
MAX_LOG_SCALE = math.log(1000 / 16)
MIN_PROPOSAL_SIDE = 1e-3  # pixels

# RoIs are moved to within these limits before they are pooled from; both are pixels.
MAX_ROI_COORDINATE = 1e4
MIN_ROI_SIDE = 1e-2
# Added to the number of the level that an RoI is pooled from, so that rounding does not put an RoI
# of exactly the canonical size on the level below.
LEVEL_SLACK = 1e-6

MIN_UNION = 1e-30  # square pixels; the divisor of an IoU is at least this
