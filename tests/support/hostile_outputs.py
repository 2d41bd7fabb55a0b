"""Outputs in model.json that no export has: the fourth of a detector of 12 rows."""


def fourth(name, *shape, **others):
    """A change of model.json: adds an output after the labels."""
    output = {"name": name, "shape": ["B", *shape], **others}
    return lambda content: content["outputs"].append(output)


def heatmaps(*shape, skeleton=((0, 1),)):
    return fourth("heatmaps", *shape, skeleton=[list(limb) for limb in skeleton])


def skeleton(value):
    return fourth("heatmaps", 12, 5, 8, 8, skeleton=value)


CASES = {
    "masks of another name": (fourth("edges", 12, 8, 8), "masks"),
    "masks that are no squares": (fourth("masks", 12, 8, 9), "masks"),
    "masks without a side": (fourth("masks", 12, 8), "masks"),
    "masks that are heatmaps": (fourth("masks", 12, 5, 8, 8), "heatmaps"),
    "heatmaps that are masks": (heatmaps(12, 8, 8), "heatmaps"),
    "heatmaps that are no squares": (heatmaps(12, 5, 8, 9), "heatmaps"),
    "heatmaps of six axes": (heatmaps(12, 5, 5, 8, 8), "heatmaps"),
    "heatmaps of no keypoint": (heatmaps(12, 0, 8, 8), "J"),
    "heatmaps of keypoints with a point": (heatmaps(12, 5.0, 8, 8), "J"),
    "too many keypoints": (heatmaps(12, 513, 8, 8), "512"),
    "large heatmaps": (heatmaps(12, 5, 1025, 1025), "1024"),
    "heatmaps of other rows": (heatmaps(7, 5, 8, 8), "D"),
    "heatmaps without a skeleton": (fourth("heatmaps", 12, 5, 8, 8), "skeleton"),
    "a skeleton that is null": (skeleton(None), "skeleton"),
    "a skeleton of numbers": (skeleton([1, 2]), "skeleton"),
    "a skeleton of three": (skeleton([[0, 1, 2]]), "skeleton"),
    "a skeleton of a keypoint that is not there": (skeleton([[0, 5]]), "skeleton"),
    "a skeleton below 0": (skeleton([[-1, 0]]), "skeleton"),
    "a skeleton of halves": (skeleton([[0.5, 0]]), "skeleton"),
    "a skeleton that is true": (skeleton([[True, 0]]), "skeleton"),
    "a large skeleton": (skeleton([[0, 1]] * 4097), "skeleton"),
}
OUTPUTS = {name: (change, ("outputs", said)) for name, (change, said) in CASES.items()}
