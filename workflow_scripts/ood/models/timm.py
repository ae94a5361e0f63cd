"""Any image classifier of the library timm (Wightman 2019), by its name there."""

import torch
from torch import Tensor, nn

from ood.errors import InputError


class Features(nn.Module):
    """A net of timm without its last linear map, with fresh weights.

    :param shape: (H, W, C) of the images
    :param net: timm's name, ``resnet18`` or ``vit_tiny_patch16_224``
    :raises InputError: if timm is not installed, knows no such net, or it takes no images of
        this size
    """

    def __init__(self, shape: tuple[int, int, int], net: str):
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise InputError("architecture: timm needs a package: pip install timm") from error
        height, width, channels = shape
        if not timm.is_model(net):
            near = ", ".join(timm.list_models(f"*{net[:6]}*")[:8]) or "timm.list_models() has all"
            raise InputError(f"net: timm {timm.__version__} has no {net!r}; near: {near}")
        self.net = timm.create_model(net, num_classes=0, in_chans=channels).eval()
        try:
            with torch.no_grad():
                self.out_features = self.net(torch.zeros(1, channels, height, width)).shape[1]
        except (AssertionError, RuntimeError) as error:
            raise InputError(
                f"net: timm's {net} does not take images of {height}x{width}: {error}; give the "
                "model 'resize: 224', or the size that the net is made for"
            ) from error
        self.net.train()

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)
