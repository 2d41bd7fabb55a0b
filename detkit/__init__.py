"""detkit: two-stage object detection on MXNet/Gluon, put together out of named parts."""

__version__ = "0.1.0"
