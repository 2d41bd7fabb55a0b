"""A detector as files that need none of detkit's models: what tools/export.py writes.

    symbol.py     a Detector -> a folder          exported.py   a folder -> detections
    simplify.py   takes out what only training    manifest.py   model.json, and whether
                  needs; graph.py what it works          the folder is whole
                  on
    compare.py    whether the detections stayed the same

``exported`` and ``manifest`` import no model and no config: MXNet, numpy and OpenCV are enough.
"""
