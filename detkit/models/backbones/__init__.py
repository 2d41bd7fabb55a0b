"""Backbones: images -> feature maps. Each declares the ``channels`` and ``strides`` of its maps.

A backbone whose children have torchvision's names loads torchvision's files as they are.
"""

from detkit.models.backbones.gluon_zoo import GluonZoo
from detkit.models.backbones.image_pyramid import ImagePyramid
from detkit.models.backbones.mobilenet_v2 import MobileNetV2
from detkit.models.backbones.mobilenet_v3 import MobileNetV3
from detkit.models.backbones.resnet import ResNet
from detkit.models.backbones.vgg import VGG
from detkit.models.backbones.zf import ZF

__all__ = ["VGG", "GluonZoo", "ImagePyramid", "MobileNetV2", "MobileNetV3", "ResNet", "ZF"]
