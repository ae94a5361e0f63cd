"""Noise sets, drawn once for all benchmarks or around the ID images of one."""

import numpy as np

from ood.errors import InputError

NOISE_SEEDS = {"gaussian": 0, "uniform": 1, "sphere": 2, "bright_uniform": 3, "noisy_id": 4}
# images of pixel noise, as ODIN draws; of small pictures, whose benchmarks have a few hundred ID
# images to test with, more noise would make nothing surer
COUNT, SMALL, SMALL_COUNT = 10_000, 16, 2_000
# places between the two test images of a mean
INTERP_DISTANCE = 100


def generate_noise(
    name: str, shape: tuple[int, int, int], known: np.ndarray | None = None
) -> np.ndarray:
    """``COUNT`` images of pixel noise (``SMALL_COUNT`` below ``SMALL`` pixels), 2,000 points on a
    sphere, noise on every ID image, or means of two; the same everywhere.

    :param known: uint8 ID images ``[N, H, W, C]``, for the noises around them
    :return: ``[N, H, W, C]``, uint8, or float32 where values leave [0, 1] or lie between bytes
    :raises InputError: if there are too few images for means of two
    """
    if name == "interp":
        if len(known) <= INTERP_DISTANCE:
            raise InputError(
                f"interp: means of two images {INTERP_DISTANCE} places apart need more than "
                f"{len(known)} ID test images"
            )
        # the released code lets the first images pass unmixed; here they are left out
        first, second = known[:-INTERP_DISTANCE], known[INTERP_DISTANCE:]
        return ((first / 255 + second / 255) / 2).astype(np.float32)
    generator = np.random.default_rng(NOISE_SEEDS[name])
    if name == "sphere":
        points = generator.normal(size=(2_000, *shape))
        norms = np.sqrt(np.square(points).sum((1, 2, 3), keepdims=True))
        return (sphere_radius(known) * points / norms).astype(np.float32)
    if name == "noisy_id":
        # as VMDLS adds it: uniform on [0, 1] after normalisation with mean .5, sd .5
        return (known / 255 + generator.uniform(0, 0.5, known.shape)).astype(np.float32)
    count = COUNT if min(shape[:2]) >= SMALL else SMALL_COUNT
    if name == "gaussian":
        values = generator.normal(0.5, 1.0, size=(count, *shape)).clip(0, 1)
    else:
        values = generator.uniform(size=(count, *shape))
        if name == "bright_uniform":
            values = (1 + values) / 2
    return np.round(values * 255).astype(np.uint8)


def sphere_radius(images: np.ndarray) -> float:
    """OODGen's radius: the largest Euclidean norm of a training image in [0, 1] units, plus 2."""
    flat = images.reshape(len(images), -1).astype(np.float64) / 255
    return float(np.sqrt(np.square(flat).sum(1).max())) + 2
