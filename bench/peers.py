"""Plain ways of computing what the workflow computes, to measure it against."""

from itertools import cycle

import timing  # noqa: F401, so that the library is found
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from ood.training.optimizers import arguments, optimizer_of

MEAN, SD = [0.4914, 0.4824, 0.4467], [0.2471, 0.2435, 0.2616]


def minimal_steps(network, loss, images, labels, settings, device, batch_size, **more):
    """A generator that takes one training step each time, as tutorials do: batches of floats are
    copied to the device, the optimiser is PyTorch's default, the loss is read after every step."""
    kind, options = optimizer_of(settings.name), arguments(settings) | more
    optimizer = kind(network.parameters(), lr=settings.learning_rate, **options)
    while True:
        order = torch.randperm(len(images))
        for part in order.split(batch_size):
            batch, targets = (images[part].float() / 255).to(device), labels[part].to(device)
            optimizer.zero_grad()
            value = loss(network, batch, targets)
            value.backward()
            optimizer.step()
            value.item()
            yield


def pictures(images, labels, batch_size):
    """A DataLoader with PIL transforms: crop, flip, normalisation."""
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    change = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, SD),
        ]
    )
    arrays, classes = images.permute(0, 2, 3, 1).numpy(), labels.tolist()

    class Pictures(Dataset):
        def __len__(self):
            return len(classes)

        def __getitem__(self, index):
            return change(Image.fromarray(arrays[index])), classes[index]

    return cycle(DataLoader(Pictures(), batch_size, shuffle=True, drop_last=True))


def picture_steps(network, images, labels, batch_size):
    """The same step on batches of ``pictures``."""
    optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9, weight_decay=5e-4)
    for batch, targets in pictures(images, labels, batch_size):
        loss = F.cross_entropy(network(batch), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield


class Block(nn.Module):
    """A block of the plain WRN."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.drop = nn.Dropout(0.3)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        if inputs == outputs:
            self.shortcut = None

    def forward(self, x):
        out = torch.relu(self.bn1(x))
        kept = x if self.shortcut is None else self.shortcut(out)
        out = self.conv1(out)
        out = self.conv2(self.drop(torch.relu(self.bn2(out))))
        return out + kept


def wide_resnet(classes=10):
    """WRN-28-10."""
    layers, inputs = [nn.Conv2d(3, 16, 3, 1, 1, bias=False)], 16
    for outputs, stride in ((160, 1), (320, 2), (640, 2)):
        for index in range(4):
            layers.append(Block(inputs, outputs, stride if index == 0 else 1))
            inputs = outputs
    head = [nn.BatchNorm2d(640), nn.ReLU(), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(640, classes)]
    return nn.Sequential(*layers, *head)


def densenet(classes=10):
    """DenseNet-BC-100-12: torchvision's, with a stem for small images."""
    import torchvision

    net = torchvision.models.DenseNet(12, (16, 16, 16), 24, num_classes=classes)
    del net.features.norm0, net.features.relu0, net.features.pool0
    net.features.conv0 = nn.Conv2d(3, 24, 3, 1, 1, bias=False)
    return net


def concat_elu(x):
    return F.elu(torch.cat([x, -x], dim=1))


class Shifted(nn.Module):
    """A convolution of the rows above and of the columns around (``right``: before) the pixel."""

    def __init__(self, inputs, outputs, size, right):
        super().__init__()
        height, width = size
        sides = (width - 1, 0) if right else ((width - 1) // 2, (width - 1) // 2)
        self.pad = nn.ZeroPad2d((*sides, height - 1, 0))
        self.conv = weight_norm(nn.Conv2d(inputs, outputs, size))

    def forward(self, x):
        return self.conv(self.pad(x))


class Nin(nn.Module):
    """A linear map of the channels."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = weight_norm(nn.Linear(inputs, outputs))

    def forward(self, x):
        return self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Gated(nn.Module):
    def __init__(self, filters, size, right, others):
        super().__init__()
        self.first = Shifted(2 * filters, filters, size, right)
        self.second = Shifted(2 * filters, 2 * filters, size, right)
        self.nin = Nin(2 * others * filters, filters) if others else None

    def forward(self, x, other=None):
        hidden = self.first(concat_elu(x))
        if other is not None:
            hidden = hidden + self.nin(concat_elu(other))
        value, gate = self.second(concat_elu(hidden)).chunk(2, dim=1)
        return x + value * torch.sigmoid(gate)


class PixelCNN(nn.Module):
    """The likelihood-ratio paper's graph as the public PyTorch port of PixelCNN++ writes it: weight
    normalisation on every layer, a ZeroPad2d before each convolution, permute + Linear for 1x1."""

    def __init__(self, channels=1, filters=32, layers=5):
        super().__init__()
        self.above = Shifted(channels, filters, (2, 3), False)
        self.just_above = Shifted(channels, filters, (1, 3), False)
        self.left = Shifted(channels, filters, (2, 1), True)
        self.shift_down, self.shift_right = nn.ZeroPad2d((0, 0, 1, 0)), nn.ZeroPad2d((1, 0, 0, 0))
        self.vertical = nn.ModuleList(
            Gated(filters, (2, 3), False, up) for up in (0, 1) for _ in range(layers)
        )
        self.horizontal = nn.ModuleList(
            Gated(filters, (2, 2), True, 1 + up) for up in (0, 1) for _ in range(layers)
        )
        self.layers = layers
        self.head = Nin(filters, 1 + 2 * channels + channels * (channels - 1) // 2)

    def forward(self, x):
        v = self.shift_down(self.above(x))[:, :, :-1]
        h = self.shift_down(self.just_above(x))[:, :, :-1]
        h = h + self.shift_right(self.left(x))[:, :, :, :-1]
        skips = [(v, h)]
        for index in range(self.layers):
            v = self.vertical[index](v)
            h = self.horizontal[index](h, v)
            skips.append((v, h))
        skips.pop()
        for index in range(self.layers, 2 * self.layers):
            skip_v, skip_h = skips.pop()
            v = self.vertical[index](v, skip_v)
            h = self.horizontal[index](h, torch.cat([v, skip_h], dim=1))
        return self.head(F.elu(h))


def null_space_one_by_one(cvae, latents, one_hot):
    """OODGen's directions, image by image: ``autograd.functional.jacobian`` and a full SVD."""
    directions = []
    for z, y in zip(latents, one_hot, strict=True):
        jacobian = torch.autograd.functional.jacobian(
            lambda one, y=y: cvae.decode(one[None], y[None]).flatten(), z
        )
        null_space = torch.linalg.svd(jacobian)[0][:, jacobian.shape[1] :]
        weights = torch.randn(null_space.shape[1], device=z.device)
        directions.append(F.normalize(null_space @ weights, dim=0))
    return torch.stack(directions)


def jacobian_by_pixel(cvae, latents, one_hot):
    """OODGen's Jacobian by one gradient for each output pixel, batched over the images."""
    latents = latents.clone().requires_grad_()
    images = cvae.decode(latents, one_hot).flatten(1)
    rows = [
        torch.autograd.grad(images[:, pixel].sum(), latents, retain_graph=True)[0]
        for pixel in range(images.shape[1])
    ]
    return torch.stack(rows, dim=1)


def views_step_by_step(images, shifts, hue, change):
    """CSI's chain as published: one module after the other, each over the whole batch.

    :param images: ``[N, 3, H, W]``
    :param shifts: so many equal parts of the batch are turned by a quarter more each
    :param hue: largest part of a turn
    :param change: largest relative change of the other colours
    """
    count = len(images)
    flipped = images.flip(3)
    keep = (torch.rand(count, 1, 1, 1) < 0.5).float()
    images = keep * images + (1 - keep) * flipped
    parts = images.chunk(shifts)
    images = torch.cat([torch.rot90(part, k, (2, 3)) for k, part in enumerate(parts)])

    def factor():
        return (1 + change * (2 * torch.rand(count) - 1)).view(-1, 1, 1)

    # hue by arc tangent
    red, green, blue = images.unbind(1)
    value, least = images.max(1).values, images.min(1).values
    saturation = (value - least) / (value + 1e-8)
    angle = torch.atan2(3**0.5 * (green - blue), 2 * red - green - blue) / (2 * torch.pi)
    angle = (angle + hue * (2 * torch.rand(count) - 1).view(-1, 1, 1)) % 1
    saturation = (saturation * factor()).clamp(0, 1)
    value = (value * factor()).clamp(0, 1)
    channels = []
    for corner in (5, 3, 1):
        place = (corner + 6 * angle) % 6
        fall = torch.minimum(place, 4 - place).clamp(0, 1)
        channels.append(value * (1 - saturation * fall))
    coloured = torch.stack(channels, 1)
    means = coloured.mean((2, 3), keepdim=True)
    coloured = (means + factor()[:, None] * (coloured - means)).clamp(0, 1)
    keep = (torch.rand(count, 1, 1, 1) < 0.8).float()
    images = keep * coloured + (1 - keep) * images
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    grey = (images * weights).sum(1, keepdim=True).expand(-1, 3, -1, -1)
    keep = (torch.rand(count, 1, 1, 1) < 0.2).float()
    images = keep * grey + (1 - keep) * images

    area = torch.empty(count).uniform_(0.08, 1)
    aspect = torch.empty(count).uniform_(-0.2877, 0.2877).exp()
    sides = torch.stack([(area * aspect).sqrt(), (area / aspect).sqrt()], 1).clamp(max=1)
    shift = (1 - sides) * (2 * torch.rand(count, 2) - 1)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = sides[:, 0], sides[:, 1], shift
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def views_one_by_one(images, shifts, hue, change):
    """The same kind of views with torchvision's transforms, image by image: a transform draws one
    set of parameters for each call."""
    from torchvision.transforms import v2

    chain = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(change, change, change, hue)], 0.8),
            v2.RandomGrayscale(0.2),
            v2.RandomResizedCrop(images.shape[2:], (0.08, 1.0)),
        ]
    )
    parts = images.chunk(shifts)
    turned = torch.cat([torch.rot90(part, k, (2, 3)) for k, part in enumerate(parts)])
    return torch.stack([chain(image) for image in turned])
