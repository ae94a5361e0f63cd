"""Prepared real image sets against published figures; needs a mirror.

Run with ``OOD_MIRROR=<folder> pytest -m slow tests/unit/test_real_data.py``.
"""

import os

import numpy as np
import pytest

from ood.data import decode
from ood.data.download import download
from ood.data.registry import REGISTRY

MIRROR = os.environ.get("OOD_MIRROR")
# images, images per class (None: not equal), mean and standard deviation per channel in [0, 1]
PUBLISHED = {
    ("mnist", "train"): (60_000, None, [0.1307], [0.3081]),
    ("mnist", "test"): (10_000, None, [0.1325], [0.3105]),
    ("fashion_mnist", "train"): (60_000, 6_000, [0.2860], [0.3530]),
    ("fashion_mnist", "test"): (10_000, 1_000, [0.2868], [0.3524]),
    ("cifar10_jpeg", "train"): (50_000, 5_000, [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
    ("cifar10_jpeg", "test"): (10_000, 1_000, [0.4942, 0.4851, 0.4504], [0.2467, 0.2429, 0.2616]),
    ("notmnist_sample", "test"): (10_000, None, None, None),
    ("omniglot_small", "test"): (5_840, 20, None, None),
    ("tiny_imagenet_test", "test"): (9_000, 9_000, None, None),
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "split"), PUBLISHED)
def test_published_counts_and_moments(name, split, tmp_path):
    assert MIRROR, "set OOD_MIRROR to a folder that holds <dataset>/<file>"
    entry = REGISTRY[name]
    files, argument = entry.splits[split]
    for file in files:
        download(name, file, tmp_path / file, [MIRROR])
    digests = {file: entry.files[file].digest for file in files}
    found, _ = decode.prepare(entry.decoder, digests, argument, entry.shape, entry.invert, tmp_path)
    count, per_class, mean, deviation = PUBLISHED[name, split]
    assert len(found) == count
    counts = np.bincount(found.labels)
    if per_class:
        assert set(counts) == {per_class}
    if mean:
        unit = found.images.reshape(-1, entry.shape[2]) / 255
        np.testing.assert_allclose(unit.mean(0), mean, atol=2e-3)
        np.testing.assert_allclose(unit.std(0), deviation, atol=2e-3)


@pytest.mark.slow
def test_mnist_classes_have_the_published_counts(tmp_path):
    """CMG's partitions: 36,017 training and 6,031 test images of the digits 0-5."""
    for split, known, unknown in (("train", 36_017, 23_983), ("test", 6_031, 3_969)):
        files, argument = REGISTRY["mnist"].splits[split]
        for file in files:
            download("mnist", file, tmp_path / file, [MIRROR])
        digests = {file: REGISTRY["mnist"].files[file].digest for file in files}
        found, _ = decode.prepare("idx", digests, argument, (28, 28, 1), False, tmp_path)
        assert len(found.select(range(6))) == known
        assert len(found.select(range(6, 10))) == unknown
