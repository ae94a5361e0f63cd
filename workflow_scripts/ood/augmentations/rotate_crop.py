"""The augmentation of VMDLS for MNIST."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


def rotate_crop(
    degrees: float = 10.0, scale: float = 0.95, attempts: int = 10
) -> Callable[[Tensor], Tensor]:
    """Random rotation, then a random window of ``scale`` to 1 of the area and aspect 3/4 to 4/3
    brought back to the image's size; bilinear, drawn per image, on the device.

    A window that does not fit is drawn again, as torchvision does; after ``attempts`` the window is
    the whole image.
    """
    bounds = math.log(3 / 4), math.log(4 / 3)

    def augment(images: Tensor) -> Tensor:
        count, device = len(images), images.device
        angle = math.radians(degrees) * (2 * torch.rand(count, device=device) - 1)
        area = scale + (1 - scale) * torch.rand(count, attempts, device=device)
        drawn = torch.rand(count, attempts, device=device)
        aspect = (bounds[0] + (bounds[1] - bounds[0]) * drawn).exp()
        width, height = (area * aspect).sqrt(), (area / aspect).sqrt()
        fits = (width <= 1) & (height <= 1)
        # the first that fits; argmax gives 0 where none does
        chosen = fits.int().argmax(1, keepdim=True)
        size = torch.cat([width.gather(1, chosen), height.gather(1, chosen)], dim=1)
        size = torch.where(fits.any(1, keepdim=True), size, torch.ones_like(size))
        shift = (1 - size) * (2 * torch.rand(count, 2, device=device) - 1)
        cos, sin = angle.cos(), angle.sin()
        turn = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
        # of the unit square [-1, 1]^2: scaled and moved, then turned
        theta = torch.cat([turn * size[:, None, :], turn @ shift[:, :, None]], dim=2)
        grid = nn.functional.affine_grid(theta.to(images), list(images.shape), align_corners=False)
        return nn.functional.grid_sample(images, grid, align_corners=False)

    return augment
