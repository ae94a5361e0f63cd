"""DenseNet-BC-100-12 and WRN-28-10: our training step against a plain PyTorch training step.

    python bench/backbones.py [--steps 3] [--batch 16] [--device cpu] [--nets densenet wide_resnet]

The reference trains torchvision's DenseNet (with a stem for small images) and a plainly written WRN
in float32 and PyTorch's default memory layout, on batches that a DataLoader makes with PIL
transforms: crop, flip, normalisation. Ours trains the same nets as the workflow does: images on the
device as bytes, crop and flip on whole batches there, normalisation in the network, channels_last;
once in float32 and once with bfloat16 autocast (``precision: bfloat16``). All take turns on one
random image set of CIFAR-10's size, with SGD and cross-entropy; each figure is the median.
"""

import argparse
import statistics
import time
from itertools import cycle, islice
from pathlib import Path
from sys import path as modules

import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

modules.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

from ood.augmentations.crop_flip import crop_flip
from ood.images import to_unit
from ood.models import densenet, wide_resnet
from ood.models.base import Classifier, Normalized
from ood.training import build_optimizer

CLASSES = 10
MEAN, SD = [0.4914, 0.4824, 0.4467], [0.2471, 0.2435, 0.2616]
SGD = {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": False}
SGD |= {"weight_decay": 5e-4}


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


def plain_wide_resnet():
    layers, inputs = [nn.Conv2d(3, 16, 3, 1, 1, bias=False)], 16
    for outputs, stride in ((160, 1), (320, 2), (640, 2)):
        for index in range(4):
            layers.append(Block(inputs, outputs, stride if index == 0 else 1))
            inputs = outputs
    head = [nn.BatchNorm2d(640), nn.ReLU(), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(640, CLASSES)]
    return nn.Sequential(*layers, *head)


def plain_densenet():
    net = torchvision.models.DenseNet(12, (16, 16, 16), 24, num_classes=CLASSES)
    del net.features.norm0, net.features.relu0, net.features.pool0
    net.features.conv0 = nn.Conv2d(3, 24, 3, 1, 1, bias=False)
    return net


NETS = {
    "densenet": (plain_densenet, lambda: densenet.Features((32, 32, 3))),
    "wide_resnet": (plain_wide_resnet, lambda: wide_resnet.Features((32, 32, 3))),
}


class Pictures(Dataset):
    def __init__(self, images, labels):
        self.images, self.labels = images.permute(0, 2, 3, 1).numpy(), labels.tolist()
        self.change = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, SD),
            ]
        )

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.change(Image.fromarray(self.images[index])), self.labels[index]


def plain_steps(net, images, labels, batch, device):
    """A generator that takes one training step each time."""
    net = net.to(device).train()
    loader = DataLoader(Pictures(images, labels), batch, shuffle=True, drop_last=True)
    optimizer = torch.optim.SGD(net.parameters(), 0.1, 0.9, weight_decay=5e-4)
    for pictures, targets in islice(cycle(loader), 10**9):
        loss = F.cross_entropy(net(pictures.to(device)), targets.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield


def own_steps(features, images, labels, batch, device, precision):
    net = Classifier(Normalized(features, MEAN, SD), None, CLASSES)
    net = net.to(device, memory_format=torch.channels_last).train()
    images, labels, augment = images.to(device), labels.to(device), crop_flip()
    optimizer = build_optimizer(net.parameters(), SGD)
    while True:
        chosen = torch.randint(0, len(images), (batch,)).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            logits = net(augment(to_unit(images[chosen])))
        loss = F.cross_entropy(logits.float(), labels[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        yield


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    images = torch.randint(0, 256, (50_000, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (50_000,))
    print(f"{torch.get_num_threads()} threads, {device}, batches of {chosen.batch}")
    for name in chosen.nets:
        plain, features = NETS[name]
        runs = {
            "plain": plain_steps(plain(), images, labels, chosen.batch, device),
            "ours": own_steps(features(), images, labels, chosen.batch, device, "float32"),
            "ours, bfloat16": own_steps(
                features(), images, labels, chosen.batch, device, "bfloat16"
            ),
        }
        seconds = {kind: [] for kind in runs}
        for turn in range(chosen.steps + 1):
            for kind, steps in runs.items():
                begun = time.perf_counter()
                next(steps)
                if device.type == "cuda":
                    torch.cuda.synchronize()
                if turn:  # the first is for warming up
                    seconds[kind].append(time.perf_counter() - begun)
        medians = {kind: statistics.median(values) for kind, values in seconds.items()}
        for kind, median in medians.items():
            rate, ratio = chosen.batch / median, medians["plain"] / median
            print(f"{name:12} {kind:15} {rate:8.1f} images/s  {ratio:5.2f} x")


if __name__ == "__main__":
    main()
