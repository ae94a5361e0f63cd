"""PixelCNN++ (Salimans et al., arXiv 1701.05517) as the likelihood-ratio paper trains it.

Ren et al., NeurIPS 2019, arXiv 1906.02845: 32 filters, 5 residual layers, 1 hierarchy, 1 logistic
component, no weight normalisation, Glorot-uniform kernels. Two stacks: the vertical one sees the
rows above a pixel, the horizontal one what is left of it too. No convolution is masked: each
kernel has exactly the size that it may see.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Span = tuple[int, int]
OWN_AND_BEFORE: Span = (-1, 0)
AROUND: Span = (-1, 1)


def concat_elu(x: Tensor) -> Tensor:
    """elu([x, -x]) along the channels: twice as many."""
    return F.elu(torch.cat([x, -x], dim=1))


class Causal(nn.Module):
    """A convolution over the given rows and columns about each pixel, zeros beyond the border.

    :param rows: first and last, relative to the pixel's own (-1: the one above)
    :param columns: the same (-1: the one to the left)
    """

    def __init__(self, inputs: int, outputs: int, rows: Span, columns: Span, stride: int = 1):
        super().__init__()
        size = (rows[1] - rows[0] + 1, columns[1] - columns[0] + 1)
        self.conv = nn.Conv2d(inputs, outputs, size, stride)
        # as a masked kernel centred on the pixel has it: Glorot's bound counts the masked entries
        full = [2 * max(map(abs, span)) + 1 for span in (rows, columns)]
        self.bound = math.sqrt(6 / ((inputs + outputs) * full[0] * full[1]))
        # in the order of F.pad; what is negative is cut off
        self.padding = (-columns[0], columns[1], -rows[0], rows[1])

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, self.padding))


class GatedResidual(nn.Module):
    """x + the gated half of two convolutions; another map joins after the first.

    :param columns: what its convolutions see; the rows are the pixel's own and the one above
    :param others: channels of the other map, 0 if there is none
    """

    def __init__(self, filters: int, columns: Span, others: int, dropout: float):
        super().__init__()
        self.first = Causal(2 * filters, filters, OWN_AND_BEFORE, columns)
        self.other = nn.Conv2d(2 * others, filters, 1) if others else None
        self.dropout = nn.Dropout(dropout)
        self.second = Causal(2 * filters, 2 * filters, OWN_AND_BEFORE, columns)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        hidden = self.first(concat_elu(x))
        if other is not None:
            hidden = hidden + self.other(concat_elu(other))
        value, gate = self.second(self.dropout(concat_elu(hidden))).chunk(2, dim=1)
        return x + value * torch.sigmoid(gate)


class Layer(nn.Module):
    """A residual layer of both stacks; on the way up each takes a skip connection."""

    def __init__(self, filters: int, dropout: float, up: bool):
        super().__init__()
        self.vertical = GatedResidual(filters, AROUND, filters if up else 0, dropout)
        horizontal = 2 * filters if up else filters
        self.horizontal = GatedResidual(filters, OWN_AND_BEFORE, horizontal, dropout)

    def forward(self, stacks: tuple[Tensor, Tensor], skip: tuple[Tensor, Tensor] | None = None):
        vertical = self.vertical(stacks[0], skip and skip[0])
        other = torch.cat([vertical, skip[1]], dim=1) if skip else vertical
        return vertical, self.horizontal(stacks[1], other)


class Halve(nn.Module):
    """Both stacks at half the resolution; an output sees what its upper left pixel may see."""

    def __init__(self, filters: int):
        super().__init__()
        self.vertical = Causal(filters, filters, OWN_AND_BEFORE, AROUND, stride=2)
        self.horizontal = Causal(filters, filters, OWN_AND_BEFORE, OWN_AND_BEFORE, stride=2)

    def forward(self, stacks: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return self.vertical(stacks[0]), self.horizontal(stacks[1])


class Double(nn.Module):
    """Both stacks at twice the resolution, cut to the size that was halved."""

    def __init__(self, filters: int):
        super().__init__()
        self.vertical = nn.ConvTranspose2d(filters, filters, 2, 2)
        self.horizontal = nn.ConvTranspose2d(filters, filters, 2, 2)

    def forward(self, stacks: tuple[Tensor, Tensor], like: Tensor) -> tuple[Tensor, Tensor]:
        height, width = like.shape[2:]
        vertical, horizontal = self.vertical(stacks[0]), self.horizontal(stacks[1])
        return vertical[..., :height, :width], horizontal[..., :height, :width]


class PixelCNN(nn.Module):
    """The distribution of every pixel given the pixels before it, in raster order.

    :param shape: ``(H, W, C)`` with C 1 or 3
    :param filters: channels of both stacks
    :param residual_layers: of each hierarchy, on the way down and up
    :param hierarchies: number of resolutions, each half of the one before
    :param components: logistics in the mixture
    :param rescale: the network sees and returns values in [-1, 1]; otherwise raw 0 .. 255
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        filters: int = 32,
        residual_layers: int = 5,
        hierarchies: int = 1,
        components: int = 1,
        dropout: float = 0.0,
        rescale: bool = False,
    ):
        super().__init__()
        channels = shape[2]
        self.shape, self.components, self.rescale = tuple(shape), components, rescale
        self.above = Causal(channels, filters, (-2, -1), AROUND)
        self.just_above = Causal(channels, filters, (-1, -1), AROUND)
        self.left = Causal(channels, filters, OWN_AND_BEFORE, (-1, -1))
        self.down = nn.ModuleList(
            nn.ModuleList(Layer(filters, dropout, up=False) for _ in range(residual_layers))
            for _ in range(hierarchies)
        )
        # one layer more where a halving left another skip connection
        self.up = nn.ModuleList(
            nn.ModuleList(
                Layer(filters, dropout, up=True)
                for _ in range(residual_layers + (level < hierarchies - 1))
            )
            for level in range(hierarchies)
        )
        self.halving = nn.ModuleList(Halve(filters) for _ in range(hierarchies - 1))
        self.doubling = nn.ModuleList(Double(filters) for _ in range(hierarchies - 1))
        self.head = nn.Conv2d(
            filters, components * (1 + 2 * channels + channels * (channels - 1) // 2), 1
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        # the source fills whole kernels and then masks them: what is left is smaller than Glorot's
        # numbers for the cut ones, and so is the penalty that a training begins with
        for module in self.modules():
            if isinstance(module, Causal):
                nn.init.uniform_(module.conv.weight, -module.bound, module.bound)

    def forward(self, values: Tensor) -> Tensor:
        """The head's outputs ``[N, O, H, W]`` for pixel values 0 .. 255, float ``[N, C, H, W]``."""
        x = values * (2 / 255) - 1 if self.rescale else values
        stacks = self.above(x), self.just_above(x) + self.left(x)
        skips = [stacks]
        for level, layers in enumerate(self.down):
            if level:
                stacks = self.halving[level - 1](stacks)
                skips.append(stacks)
            for layer in layers:
                stacks = layer(stacks)
                skips.append(stacks)
        skips.pop()
        for level in reversed(range(len(self.up))):
            for layer in self.up[level]:
                stacks = layer(stacks, skips.pop())
            if level:
                stacks = self.doubling[level - 1](stacks, skips[-1][0])
        # the likelihood needs more precision than bfloat16 has
        with torch.autocast(x.device.type, enabled=False):
            return self.head(F.elu(stacks[1].to(self.head.weight.dtype)))

    def log_probability(self, values: Tensor, outputs: Tensor | None = None) -> Tensor:
        """log p of every pixel given those before it, ``[N, H, W]`` in nats, all channels together.

        :param values: whole numbers 0 .. 255 as floats, ``[N, C, H, W]``
        :param outputs: of ``forward``, if they are known; the likelihood has their precision
        """
        outputs = self(values) if outputs is None else outputs
        return mixture_log_probability(values.to(outputs), outputs, self.components, self.rescale)

    def sample_pixels(self, outputs: Tensor) -> Tensor:
        """One pixel's values for the head's outputs ``[N, O]``; whole numbers, float ``[N, C]``."""
        channels = self.shape[2]
        parts = split_outputs(outputs[:, :, None, None], channels, self.components)
        logits, locations, scales, coefficients = (part.flatten(2) for part in parts)
        chosen = torch.multinomial(logits.squeeze(2).softmax(1), 1).squeeze(1)
        rows = torch.arange(len(outputs), device=outputs.device)
        locations, scales, coefficients = (
            part[rows, chosen] for part in (locations, scales, coefficients)
        )
        uniform = (
            torch.rand(locations.shape, device=outputs.device).to(outputs).clamp(1e-5, 1 - 1e-5)
        )
        values = torch.zeros_like(locations)
        for channel in range(channels):
            mean, scale = to_pixels(
                locations[:, channel] + self._lean(values, coefficients, channel),
                scales[:, channel],
                self.rescale,
            )
            drawn = mean + scale * torch.logit(uniform[:, channel])
            values[:, channel] = drawn.round().clamp(0, 255)
        return values

    def _lean(self, values: Tensor, coefficients: Tensor, channel: int) -> Tensor | int:
        """What the channels before add to a channel's location."""
        if channel == 0:
            return 0
        unit = values * (2 / 255) - 1
        first = channel * (channel - 1) // 2
        shift = (coefficients[:, first : first + channel] * unit[:, :channel]).sum(1)
        return shift if self.rescale else 127.5 * shift


def split_outputs(
    outputs: Tensor, channels: int, components: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mixture logits ``[N, M, H, W]``, locations and scales ``[N, M, C, H, W]``, coefficients
    ``[N, M, C (C - 1) / 2, H, W]``, all as the head returns them."""
    count, _, height, width = outputs.shape
    sizes = [1, channels, channels, channels * (channels - 1) // 2]
    parts = outputs.view(count, components, -1, height, width).split(sizes, dim=2)
    return parts[0].squeeze(2), *parts[1:]


def to_pixels(locations: Tensor, scales: Tensor, rescale: bool) -> tuple[Tensor, Tensor]:
    """Means and standard scales of the logistics in units of pixel values."""
    if rescale:
        return 127.5 * (locations + 1), 127.5 * (F.softplus(scales) + math.exp(-7))
    return locations, (255 * torch.sigmoid(scales)).clamp(min=0.25)


def mixture_log_probability(
    values: Tensor, outputs: Tensor, components: int, rescale: bool
) -> Tensor:
    """See ``PixelCNN.log_probability``; one choice of a component for all channels of a pixel."""
    channels = values.shape[1]
    logits, locations, scales, coefficients = split_outputs(outputs, channels, components)
    if channels == 3:
        unit = values[:, None, :2] * (2 / 255) - 1
        # green leans on red, blue on both
        green = coefficients[:, :, :1] * unit[:, :, :1]
        blue = (coefficients[:, :, 1:] * unit).sum(2, keepdim=True)
        shift = torch.cat([torch.zeros_like(green), green, blue], dim=2)
        locations = locations + (shift if rescale else 127.5 * shift)
    means, widths = to_pixels(locations, scales, rescale)
    found = logistic_log_probability(values[:, None], means, widths).sum(2)
    return torch.logsumexp(found + F.log_softmax(logits, dim=1), dim=1)


def logistic_log_probability(values: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """log of the logistic's mass within half a step of each whole number; the ends take the tails.

    With a and b the standardised upper and lower limits, sigmoid(a) - sigmoid(b) =
    sigmoid(a) sigmoid(-b) (1 - exp(-1 / s)): no difference of nearly equal numbers.
    """
    upper = F.logsigmoid((values + 0.5 - means) / scales)
    lower = F.logsigmoid((means - values + 0.5) / scales)
    inside = upper + lower + torch.log(-torch.expm1(-1 / scales))
    return torch.where(values < 0.5, upper, torch.where(values > 254.5, lower, inside))
