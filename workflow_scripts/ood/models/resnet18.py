"""ResNet-18 for small images."""

from ood.models.resnet import ResNetFeatures


class Features(ResNetFeatures):
    """Eighteen layers, of basic blocks."""

    layers = 18
