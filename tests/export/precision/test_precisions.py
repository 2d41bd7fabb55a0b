"""The images that the ranges of 8-bit numbers come from."""

from types import SimpleNamespace

from detkit.export.precision.precisions import examples_of


def test_examples_come_from_all_over_the_dataset():
    class Numbers:
        def __len__(self):
            return 11

        def image(self, position):
            return position

    class Detector:
        class model:
            INPUTS = ("images",)

        def batch(self, images):
            return SimpleNamespace(images=images)

    assert list(examples_of(Detector(), Numbers(), 3)) == [([0],), ([5],), ([10],)]
    assert len(list(examples_of(Detector(), Numbers(), 40))) == 11
