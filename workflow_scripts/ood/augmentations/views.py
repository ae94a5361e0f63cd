"""The views of contrastive learning: colours, shift, flip, turn and crop, drawn for every view.

The published chain (CSI, Tack et al., arXiv 2007.08176) flips, shifts, jitters, greys and crops one
after the other. Colours act on pixels and on means of channels, so they commute with flips and
turns: here they come first, then one warp does the rest.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

ATTEMPTS = 10
ASPECTS = (math.log(3 / 4), math.log(4 / 3))
# shares of ITU-R 601
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Views:
    """What is drawn for each view.

    :param flip: whether half of the views are mirrored, left to right
    :param crop: least and largest area of the window that is brought to the view's size, as shares
        of the image; None takes the whole image
    :param jitter: the largest relative change of ``value``, ``contrast`` and ``saturation``, and of
        ``hue`` the largest part of a turn; None for none. Grey images have no saturation and no hue
    :param jitter_share: of the views that are jittered
    :param grey_share: of the views of RGB images that become grey
    :param size: height and width of a view; None for the image's own
    """

    flip: bool
    crop: tuple[float, float] | None
    jitter: dict[str, float] | None = None
    jitter_share: float = 0.8
    grey_share: float = 0.2
    size: int | None = None

    def draw(self, count: int, shape: tuple[int, int], device: torch.device) -> dict[str, Tensor]:
        """Parameters of ``count`` views of images of this height and width, from PyTorch's global
        random state; each ``[count, ...]``, but ``contrast_first``, one for all."""

        def uniform(*size: int) -> Tensor:
            return torch.rand(size or (count,), device=device)

        drawn = {"flip": uniform() < (0.5 if self.flip else 0.0)}
        drawn["window"] = self._windows(count, shape, device)
        if self.jitter is not None:
            kept = uniform() < self.jitter_share
            for name, most in self.jitter.items():
                change = torch.where(kept, most * (2 * uniform() - 1), 0.0)
                drawn[name] = change if name == "hue" else 1 + change
            drawn["contrast_first"] = torch.rand((), device=device) < 0.5
            drawn["grey"] = uniform() < self.grey_share
        return drawn

    def _windows(self, count: int, shape: tuple[int, int], device: torch.device) -> Tensor:
        """Width and height of each view's window as shares of the image's, and its centre in
        [-1, 1]: sides of whole pixels that fit, at any half pixel; ``[count, 4]``."""
        if self.crop is None:
            whole = torch.ones(count, 2, device=device)
            return torch.cat([whole, torch.zeros_like(whole)], dim=1)
        low, high = self.crop
        image = torch.stack([torch.full((), side, device=device) for side in shape[::-1]])
        area = low + (high - low) * torch.rand(count, ATTEMPTS, device=device)
        aspect = ASPECTS[0] + (ASPECTS[1] - ASPECTS[0]) * torch.rand(count, ATTEMPTS, device=device)
        # width over height
        root = (0.5 * aspect).exp()
        sides = area.sqrt()[:, :, None] * torch.stack([root, 1 / root], dim=2)
        # the area is a share: of an image that is no square, of each side the same
        sides = (sides * image).round()
        fits = ((sides <= image) & (sides >= 1)).all(2)
        # the first that fits; the whole image where none does
        found = sides[torch.arange(count, device=device), fits.int().argmax(1)]
        found = torch.where(fits.any(1, keepdim=True), found, image)
        room = image - found
        place = (torch.rand(count, 2, device=device) * (2 * room + 1)).floor() - room
        return torch.cat([found / image, place / image], dim=1)

    def apply(self, images: Tensor, drawn: dict[str, Tensor], turns: Tensor) -> Tensor:
        """The views of images ``[N, C, H, W]`` in [0, 1], one of each.

        :param turns: quarter turns counter-clockwise after the flip, int64 ``[N]``
        """
        if self.jitter is not None:
            images = colour(images, drawn)
        size = self.size or images.shape[2]
        width, height, x, y = drawn["window"].unbind(1)
        zero = torch.zeros_like(width)
        window = torch.stack([width, zero, x, zero, height, y], dim=1).view(-1, 2, 3)
        cos, sin = ((turns % 4).float() * (math.pi / 2) + part for part in (0.0, -math.pi / 2))
        cos, sin = cos.cos().round(), sin.cos().round()
        mirror = 1.0 - 2.0 * drawn["flip"].float()
        turn = torch.stack([mirror * cos, -mirror * sin, sin, cos], dim=1).view(-1, 2, 2)
        theta = turn @ window
        shape = [len(images), images.shape[1], size, size]
        grid = F.affine_grid(theta.to(images.dtype), shape, align_corners=False)
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def colour(images: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """Jittered and greyed images ``[N, C, H, W]`` in [0, 1]; a coin for the batch puts contrast
    before or after the other changes."""

    def of_each(name: str) -> Tensor:
        return drawn[name][:, None, None, None]

    def contrast(batch: Tensor) -> Tensor:
        means = batch.mean((2, 3), keepdim=True)
        return (means + of_each("contrast") * (batch - means)).clamp(0, 1)

    images = torch.where(drawn["contrast_first"], contrast(images), images)
    if images.shape[1] == 1:
        images = (images * of_each("value")).clamp(0, 1)
    else:
        images = change_hsv(images, drawn)
    images = torch.where(drawn["contrast_first"], images, contrast(images))
    if images.shape[1] == 3:
        luma = sum(share * one for share, one in zip(LUMA, images.split(1, 1), strict=True))
        images = torch.where(of_each("grey"), luma, images)
    return images


def change_hsv(images: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """RGB images with another hue, saturation and value: a part of a turn is added, and two factors
    whose products are cut at 1."""
    hue, saturation, value = to_hsv(images)
    hue = hue + drawn["hue"][:, None, None]
    saturation = (saturation * drawn["saturation"][:, None, None]).clamp(0, 1)
    return from_hsv(hue, saturation, (value * drawn["value"][:, None, None]).clamp(0, 1))


def to_hsv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue (parts of a turn), saturation and value of RGB ``[N, 3, H, W]``, ``[N, H, W]`` each."""
    value, first = images.max(1)
    chroma = value - images.min(1).values
    red, green, blue = images.unbind(1)
    safe = torch.where(chroma > 0, chroma, 1)
    sides = torch.stack([(green - blue), (blue - red), (red - green)], dim=1)
    hue = sides.gather(1, first[:, None]).squeeze(1) / safe + 2 * first
    return hue / 6, chroma / torch.where(value > 0, value, 1), value


def from_hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """The inverse of ``to_hsv``; any hue, of which whole turns do not matter."""
    # red, green and blue fall off from their own corner of the hexagon
    corners = torch.arange(5, 0, -2, device=hue.device)[:, None, None]
    place = (corners + 6 * hue[:, None]) % 6
    fall = torch.minimum(place, 4 - place).clamp(0, 1)
    return value[:, None] * (1 - saturation[:, None] * fall)
