"""Splits images into train, val and test: by classes, under a seed, near duplicates together."""

from typing import Dict, List, Mapping, NamedTuple, Sequence

import numpy as np

SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}
RUNS = 20  # the parts of a group that is too large to stay together


def split_groups(
    objects: np.ndarray, groups: Sequence[Sequence[int]], shares: Mapping[str, float], seed: int
) -> Dict[str, List[int]]:
    """Returns {part: sorted indices} of images; a group is in one part as a whole.

    objects: (N, K), the number of objects of each class in each image.
    groups: the indices in 0 ... N - 1, each once.
    shares: {part: weight}; the parts get images in this proportion, and so do the images with
        objects of each class.

    The images of the rarest class are shared out first, each to the part that lacks most of them
    (Sechidis et al. 2011, algorithm 1). If there are enough, each part has an image of each class,
    even of one that is so rare that its share is nearer to none. A part without any object gets a
    group of the part with most, unless that would be left with none.
    """
    places = _Places(objects, groups, shares, seed)
    places.share_out()
    places.fill_empty()
    parts: Dict[str, List[int]] = {name: [] for name in shares}
    for group, part in zip(groups, places.part_of.tolist()):
        parts[list(shares)[part]] += group
    return {name: sorted(indices) for name, indices in parts.items()}


class Cut(NamedTuple):
    """Groups that can be shared out.

    cut: the number of images in groups that were cut, because they were too large.
    """

    groups: List[List[int]]
    cut: int


def cut_large(groups: Sequence[Sequence[int]], objects: np.ndarray, parts: int) -> Cut:
    """Returns groups that ``parts`` parts can share, large ones cut into runs of neighbours.

    objects: as for split_groups.

    A group with more than half of the images is cut into RUNS runs: the pictures of a fixed camera
    all look alike, and those that were taken one after another stay together. If fewer groups than
    ``parts`` have an object, all are cut into single images.
    """
    total = len(objects)
    usable = objects.any(axis=1)
    result: List[List[int]] = []
    for group in groups:
        runs = min(RUNS, len(group)) if len(group) > total / 2 else 1
        result += [run.tolist() for run in np.array_split(group, runs)]
    if sum(bool(usable[group].any()) for group in result) < parts:
        result = [[index] for group in groups for index in group]
    cut = sum(len(group) for group in groups if len(group) > 1 and list(group) not in result)
    return Cut(result, cut)


class _Places:
    """The part of each of U groups, and what each of P parts still lacks.

    part_of: (U,), the number of the part; -1 for a group without one.
    """

    def __init__(
        self,
        objects: np.ndarray,
        groups: Sequence[Sequence[int]],
        shares: Mapping[str, float],
        seed: int,
    ) -> None:
        images = (objects > 0).astype(int)
        self._images = np.array([images[group].sum(axis=0) for group in groups])  # (U, K)
        self._sizes = np.array([len(group) for group in groups])
        weights = np.array(list(shares.values()))
        weights = weights / weights.sum()
        self._lacking = weights[:, None] * self._images.sum(axis=0)  # (P, K)
        self._has = np.zeros_like(self._lacking)  # (P, K)
        self._room = weights * self._sizes.sum()  # (P,)
        self.part_of = np.full(len(groups), -1)
        drawn = np.random.default_rng(seed).permutation(len(groups))
        self._order = drawn[np.argsort(-self._sizes[drawn], kind="stable")]  # large ones first

    def share_out(self) -> None:
        """Gives each group a part."""
        while True:
            counts = self._images[self.part_of < 0].sum(axis=0)
            if not counts.any():
                break
            rarest = int(np.where(counts > 0, counts, counts.max() + 1).argmin())
            free = self._order[self.part_of[self._order] < 0]
            with_it = free[self._images[free, rarest] > 0]
            for left, group in zip(range(len(with_it), 0, -1), with_it):
                without = self._has[:, rarest] == 0
                # The last groups with a class go to the parts that would have none of it.
                only = without if left <= without.sum() else np.ones_like(without)
                self._place(group, np.where(only, self._lacking[:, rarest], -np.inf))
        for group in self._order[self.part_of[self._order] < 0]:
            self._place(group, self._room)

    def _place(self, group: int, lacking: np.ndarray) -> None:
        """Gives a group the part that lacks most (P,), of several the one with most room."""
        part = int(np.lexsort((self._room, lacking.round(6)))[-1])
        self.part_of[group] = part
        self._has[part] += self._images[group]
        self._lacking[part] -= self._images[group]
        self._room[part] -= self._sizes[group]

    def fill_empty(self) -> None:
        """Gives each part without an object a small group of the part with most objects."""
        usable = self._images.any(axis=1)
        for part in range(len(self._room)):
            counts = np.bincount(self.part_of[usable], minlength=len(self._room))
            giver = int(counts.argmax())
            if counts[part] or counts[giver] < 2:
                continue
            has = self._order[(self.part_of == giver)[self._order] & usable[self._order]]
            in_giver = self._images[self.part_of == giver].sum(axis=0)
            # The group whose rarest class the giver has most of, of several the smallest.
            rarest = [
                np.where(row > 0, in_giver, in_giver.max()).min() for row in self._images[has]
            ]
            best = max(range(len(has)), key=lambda place: (rarest[place], place))
            self.part_of[has[best]] = part
