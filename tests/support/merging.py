"""The rules of detkit.detections.merge in plain loops."""

from detkit.detections.merge import BORDER, MIN_SCORE, PLAUSIBLE


def area(box):
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def common(box, other):
    return [*map(max, box[:2], other[:2]), *map(min, box[2:], other[2:])]


def iou(box, other):
    shared = area(common(box, other))
    union = area(box) + area(other) - shared
    return shared / union if union > 0 else 0.0


def within(box, other):
    return area(common(box, other)) / area(box) if area(box) > 0 else 0.0


class Row:
    def __init__(self, box, score, label, view, size):
        self.box, self.score, self.label, self.view = box, score, label, view
        self.own, self.to = score, self
        lower = (box[n] <= view[n] + BORDER and view[n] > 0 for n in (0, 1))
        upper = (box[n] >= view[n] - BORDER and view[n] < size[3 - n] for n in (2, 3))
        self.cut = any(lower) or any(upper)

    def meets(self, other):
        return self.label == other.label and self.view != other.view

    def overlap(self, other):
        values = [iou(self.box, other.box)]
        values += [within(self.box, other.box)] * self.cut
        return max([*values, *[within(other.box, self.box)] * other.cut])

    def is_piece_of(self, other, limit):
        zone = common(self.view, other.view)
        in_common = iou(common(self.box, zone), common(other.box, zone))
        same = within(self.box, other.box) > limit or (other.cut and in_common > limit)
        return same and other.own >= PLAUSIBLE * self.own


def merged(rows, limit, soft=False):
    """The Rows that stay, the best first."""
    ranks = [(row.cut, -area(row.box) * row.cut, -row.own * row.cut) for row in rows]
    order = sorted(range(len(rows)), key=lambda n: ranks[n])
    for place, n in enumerate(order):
        row = rows[n]
        before = [rows[m] for m in sorted(order[:place]) if row.cut and row.meets(rows[m])]
        whole = [other for other in before if row.is_piece_of(other, limit)]
        if whole:
            row.to = max(whole, key=lambda other: iou(row.box, other.box)).to
            row.to.score = max(row.to.score, row.own)
    left, kept = [row for row in rows if row.to is row], []
    while left:
        best = max(left, key=lambda row: row.score)
        left.remove(best)
        kept.append(best)
        for other in list(left):
            overlap = best.overlap(other) if best.meets(other) else 0
            if overlap > limit and soft:
                other.score *= 1 - overlap
            if overlap > limit and (not soft or other.score < MIN_SCORE):
                left.remove(other)
    return kept
