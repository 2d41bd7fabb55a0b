"""The image pyramid: its images against OpenCV's, its maps against the backbone's own."""

from functools import partial

import cv2
import mxnet as mx
import numpy as np
import pytest

from detkit.models.backbones import VGG, ZF, GluonZoo, ImagePyramid
from support import backbones
from support.refusals import assert_refused

SCALES = (0.5, 1, 1.3)  # of images of 48 x 80 pixels, to 62 x 104 and 24 x 40


def images():
    return np.random.RandomState(0).standard_normal((2, 3, 48, 80)).astype("float32")


def resized(image, scale):
    """An image (3, H, W) by OpenCV, whose pixels have their centres at a half, too."""
    _, height, width = image.shape
    size = int(width * scale), int(height * scale)
    return cv2.resize(image.transpose(1, 2, 0), size).transpose(2, 0, 1)


@pytest.mark.parametrize("hybridized", [False, True])
def test_the_maps_are_the_backbones_of_images_in_each_size(hybridized):
    backbone = backbones.fill(ZF())
    pyramid = ImagePyramid(backbone, SCALES)
    pyramid.hybridize(hybridized)
    found = pyramid(mx.nd.array(images()))
    assert pyramid.strides == (16 / 1.3, 16, 32)
    assert pyramid.channels == (256, 256, 256)
    for features, scale in zip(found, (1.3, 1, 0.5)):
        expected = [resized(image, scale) for image in images()]
        (expected,) = backbone(mx.nd.array(np.stack(expected)))
        assert features.shape == expected.shape
        np.testing.assert_allclose(features.asnumpy(), expected.asnumpy(), rtol=1e-3, atol=1e-4)


def test_padding_stays_zero_beside_the_image():
    """An image is resized alike, whatever the size of its batch; but its last pixel meets zeros."""
    whole = np.zeros((2, 3, 64, 96), "float32")
    whole[:, :, :48, :80] = images()
    for scale in (0.5, 2):
        alone, padded = (
            ImagePyramid(Itself(), [scale])(mx.nd.array(each))[0].asnumpy()
            for each in (images(), whole)
        )
        rows, columns = (int(side * scale) for side in (48, 80))
        inner = np.s_[:, :, : rows - 2, : columns - 2]
        np.testing.assert_allclose(padded[inner], alone[inner], rtol=1e-5, atol=1e-6)
        assert not padded[:, :, rows + 2 :].any()
        assert not padded[:, :, :, columns + 2 :].any()


class Itself(mx.gluon.HybridBlock):
    """A backbone that returns its images."""

    channels, strides = (3,), (1,)

    def hybrid_forward(self, F, images):
        return [F.identity(images)]


def test_all_scales_have_one_set_of_weights():
    pyramid = ImagePyramid(ZF(), SCALES)
    names = set(ZF()._collect_params_with_prefix())
    assert {name.partition(".")[2] for name in pyramid._collect_params_with_prefix()} == names


def test_a_file_of_weights_is_the_backbones():
    zf, zoo = ZF(), GluonZoo("mobilenet0.25", (16,))
    assert ImagePyramid(zf).pretrained_part() == (zf, None)
    block, names = ImagePyramid(zoo).pretrained_part()
    assert block is zoo.pretrained_part()[0]
    assert names == zoo.pretrained_part()[1]


@pytest.mark.parametrize("scales", [[], [0, 1], [-1], [1, 2, 1], [1, float("nan")]])
def test_scales_are_checked(scales):
    assert_refused(partial(ImagePyramid, ZF()), "different numbers above 0", scales=scales)


@pytest.mark.parametrize("strides", [(8, 16), ()])
def test_a_backbone_of_one_map_is_expected(strides):
    backbone = VGG(11, out_strides=(8, 16))
    backbone.strides = strides
    with pytest.raises(ValueError, match=r"^backbone: .*one map.*strides \[.*out_strides"):
        ImagePyramid(backbone)
