"""Makes a summary small enough for a page: fewer digits, fewer zeros, and nothing twice."""

from typing import Any, Dict, List, Mapping, Sequence

import numpy as np

DIGITS = 5  # of shares and scores
POINTS = 60_000  # of all curves of a page, about 20 bytes each
FEWEST, MOST = 30, 400  # points of a curve


def packed(summary: Mapping[str, Any], runs: int = 1) -> Dict[str, Any]:
    """Returns a summary for the page's script, which computes again what follows from the rest.

    runs: the number of summaries on the page, whose curves share POINTS.

    A curve keeps its scores, hits and detections, and ``all`` tells the one of all classes. A
    matrix becomes a flat list of (row, column, count) of the cells that are not zero. Numbers are
    rounded to DIGITS.
    """
    points = int(np.clip(POINTS // (runs * len(summary["curves"])), FEWEST, MOST))
    pooled = summary["curves"][0]  # a class may have its name
    kept = {key: value for key, value in summary.items() if key not in ("class_names", "version")}
    kept["curves"] = [_curve(one, points, one is pooled) for one in summary["curves"]]
    kept["confusion"] = _sparse(summary["confusion"])
    kept["examples"] = [
        {key: value for key, value in one.items() if key != "path"} for one in summary["examples"]
    ]
    result: Dict[str, Any] = _rounded(kept)
    return result


def _curve(curve: Mapping[str, Any], points: int, is_all: bool) -> Dict[str, Any]:
    rows = np.arange(len(curve["scores"]))
    if len(rows) > points:
        rows = np.unique(np.linspace(0, len(rows) - 1, points).round().astype(int))
    columns = {key: [curve[key][row] for row in rows] for key in ("scores", "hits", "detections")}
    return {"name": curve["name"], "objects": curve["objects"], "all": is_all, **columns}


def _sparse(confusion: Mapping[str, Any]) -> Dict[str, Any]:
    cells: List[Sequence[int]] = []
    for counts in confusion["counts"]:
        matrix = np.asarray(counts)
        where = np.argwhere(matrix)
        cells.append(np.c_[where, matrix[tuple(where.T)]].ravel().tolist())
    return {"iou": confusion["iou"], "thresholds": confusion["thresholds"], "cells": cells}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return round(value, DIGITS) if np.isfinite(value) else None
    return value
