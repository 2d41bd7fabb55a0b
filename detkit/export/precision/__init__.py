"""Layers of fewer bits: the choice between them, calibration, conversion and the error of each."""
