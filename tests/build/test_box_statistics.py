"""The statistics of box targets: against numpy, and that they give mean 0 and deviation 1."""

import mxnet as mx
import numpy as np
import pytest

from detkit.build import build_model, open_config
from detkit.build.box_statistics import measure_box_statistics
from detkit.build.training import Training
from detkit.errors import ConfigError, DataError
from support import tiny
from support.oracles import assign, encode, iou_matrix
from support.projects import fast_rcnn

WEIGHTS = (10, 10, 5, 5)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The tiny config and what makes it a Fast R-CNN's."""
    folder = tmp_path_factory.mktemp("statistics")
    config = tiny.project(folder)
    return config, fast_rcnn(folder, config)


def opened(project, *overrides):
    config, fast = project
    return open_config(config, [*fast, "data.train_transforms=[]", *overrides])


def expected_targets(training):
    """(class, targets) of every positive candidate, by loops over the images of an epoch."""
    found = []
    for batch in training.loader.batches(0):
        for boxes, labels, proposals, scores in zip(
            batch.boxes, batch.labels, batch.proposals, batch.proposal_scores
        ):
            real, classes = boxes[labels >= 0], labels[labels >= 0]
            rois = np.concatenate([proposals[scores >= 0], real])
            kinds, matched = assign(
                iou_matrix(rois, real), np.ones(len(rois), bool), 0.5, 0.5, best_for_object=False
            )
            found += [
                (int(classes[g]), encode(real[g], roi, WEIGHTS))
                for roi, kind, g in zip(rois, kinds, matched)
                if kind == 1
            ]
    return np.array([k for k, _ in found]), np.array([targets for _, targets in found])


def test_statistics_are_numpys(project):
    config = opened(project)
    measured = measure_box_statistics(config)
    classes, targets = expected_targets(Training(config))
    assert measured.counts.tolist() == np.bincount(classes, minlength=6).tolist()
    np.testing.assert_allclose(measured.mean, targets.mean(axis=0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(measured.std, targets.std(axis=0), rtol=1e-3)
    assert measured.box_weights == WEIGHTS
    assert (measured.counts > 1).sum() > 2
    for k, count in enumerate(measured.counts):
        own = targets[classes == k] if count > 1 else targets
        np.testing.assert_allclose(measured.means[k], own.mean(axis=0), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(measured.stds[k], own.std(axis=0), rtol=1e-3)


@pytest.mark.parametrize("per_class", [False, True])
def test_normalised_targets_have_mean_0_and_deviation_1(project, per_class):
    measured = measure_box_statistics(opened(project))
    means, stds = (
        (each if per_class else of_all).tolist()
        for of_all, each in ((measured.mean, measured.means), (measured.std, measured.stds))
    )
    section = f"model.postprocess.box_statistics={{means: {means}, stds: {stds}}}"
    trained = Training(opened(project, section))
    labels, targets = [], []
    for batch in trained.loader.batches(0):
        names = "proposals", "proposal_scores", "boxes", "labels"
        arrays = [mx.nd.array(getattr(batch, name)) for name in names]
        assigned = trained.train_step.roi_targets.assign(*arrays)
        labels.append(assigned[1].asnumpy().ravel())
        targets.append(assigned[2].asnumpy().reshape(-1, 4))
    labels, targets = np.concatenate(labels), np.concatenate(targets)
    kinds = [labels == 1 + k for k in range(6) if measured.counts[k] > 1]
    for rows in kinds if per_class else [labels > 0]:
        np.testing.assert_allclose(targets[rows].mean(axis=0), 0, atol=1e-3)
        np.testing.assert_allclose(targets[rows].std(axis=0), 1, atol=1e-3)


def test_a_config_with_statistics_is_measured_without_them(project):
    section = "model.postprocess.box_statistics={means: [1, 1, 1, 1], stds: [2, 2, 2, 2]}"
    found, expected = (measure_box_statistics(opened(project, *each)) for each in ([section], []))
    np.testing.assert_array_equal(found.means, expected.means)


def test_a_detector_that_makes_its_own_proposals_is_refused(project):
    with pytest.raises(ConfigError, match=r"model\.type: .*FastRCNN.*'FasterRCNN'"):
        measure_box_statistics(open_config(project[0]))


def test_without_a_positive_roi_there_are_no_statistics(project):
    with pytest.raises(DataError, match="roi_targets: .*positive RoIs.*found .*; check"):
        measure_box_statistics(
            opened(project, "train_step.roi_targets.assigner={type: MaxIoUAssigner, pos_iou: 1}")
        )


def test_other_rows_than_classes_are_refused(project):
    def build(rows):
        tables = {"means": [[0] * 4] * rows, "stds": [[1] * 4] * rows}
        section = f"model.postprocess.box_statistics={tables}"
        return build_model(opened(project, section), "abcdef", mx.cpu())

    assert [build(rows).postprocess.box_statistics.rows for rows in (1, 6)] == [1, 6]
    with pytest.raises(ConfigError, match=r"model\.postprocess\.box_statistics: .*6 cl.*2 rows"):
        build(2)


def test_the_training_step_derives_them(project):
    section = "train_step.roi_targets.box_statistics={means: [0, 0, 0, 0], stds: [1, 1, 1, 1]}"
    with pytest.raises(ConfigError, match=r"roi_targets\.box_statistics: .*derives"):
        Training(opened(project, section))
