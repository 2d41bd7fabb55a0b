"""Frames of anything through a detector into files of every form."""

from detkit.predictions.frames import Frame, Frames
from detkit.predictions.pipeline import Pipeline, Rate
from detkit.predictions.sources import Source, find_sources

__all__ = ["Frame", "Frames", "Pipeline", "Rate", "Source", "find_sources"]
