"""ResNet-50 for small images."""

from ood.models.resnet import ResNetFeatures


class Features(ResNetFeatures):
    """Fifty layers, of bottleneck blocks."""

    layers = 50
