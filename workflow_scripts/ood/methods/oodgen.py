"""OODGen: OOD detection in classifiers via generation (Vernekar et al., arXiv 1910.04241).

A conditional VAE learns the manifold of the ID images. Two kinds of pseudo-OOD images surround it:
type I leaves the manifold, an ID image plus a step orthogonal to it (in the null space of the
decoder's transposed Jacobian); type II stays on the manifold, decoded from a shell around the
latents of a class. A classifier with one more class learns to reject both.

The latents are the encoder's means. Where paper and released code differ, the settings say what is
done: ``deterministic_latent``, ``null_space``, ``shell_axes``, ``clip_type1`` and ``init``. What
counts most is that the VAE is trained until its loss has converged and uses its latents: images
that are drawn from a collapsed one teach the classifier to accept what is unlike them.
"""

import copy
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import jvp, vmap

from ood.data.images import ImageSet, to_array, to_bytes, to_tensor, to_unit
from ood.detection import classifier as classifiers
from ood.detection.contract import Detector, FeatureCache, Fitted, PseudoOOD
from ood.errors import InputError
from ood.models.base import Classifier
from ood.models.initialization import glorot_uniform
from ood.models.vae import OneHotCVAE
from ood.settings.oodgen import Generation, OODGen, OODGenClassifier, OODGenCVAE
from ood.training.batches import batches, split, tensors
from ood.training.device import Compute
from ood.training.health import of_latents
from ood.training.loop import train
from ood.training.model_files import TrainingResult, restore
from ood.training.run import Inputs, Run, derive_seed
from ood.training.validation import Validation

log = logging.getLogger(__name__)

# images whose Jacobians are computed at once on a CPU, measured with bench/cpu.py: the activations
# of more images leave the cache. On a GPU what fits: bytes that an image takes for each number of
# its Jacobian, with the decoder's activations and the copies of row reduction, roughly
JACOBIAN_CHUNK, JACOBIAN_BYTES = 16, 1024
# columns between two looks at whether all rows have a pivot: on a GPU a look is a wait
PIVOT_CHECK = {"cpu": 1, "cuda": 32}

# a latent whose mean varies less within a class counts as unused
USED = 0.01
# initial weights: PyTorch's, or Keras's
INITS = {"default": lambda network: network, "glorot_uniform": glorot_uniform}
# generated images of each type that are kept, and steps in a row of the picture
SAMPLES, STEPS = 1000, 5


# Stage 1: the conditional VAE


def build_cvae(settings: OODGenCVAE) -> OneHotCVAE:
    """A CVAE with fresh weights."""
    cvae = OneHotCVAE(
        tuple(settings.shape),
        settings.n_classes,
        settings.latent,
        settings.hidden,
        settings.width,
        settings.deterministic_latent,
    )
    return INITS[settings.init](cvae)


def build_classifier(settings: OODGenClassifier) -> Classifier:
    """A classifier with fresh weights."""
    return INITS[settings.init](classifiers.build(settings))


def cvae_loss(
    images: Tensor, logits: Tensor, mean: Tensor, log_variance: Tensor, kl_weight: float = 1.0
) -> dict[str, Tensor]:
    """Binary cross-entropy summed over the pixels + KL, averaged over the batch.

    The published weight is 1; images with few pixels need less, or the latent stays unused.
    """
    count = len(images)
    error = F.binary_cross_entropy_with_logits(logits.float(), images, reduction="sum") / count
    mean, log_variance = mean.float(), log_variance.float()
    kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum() / count
    return {"loss": error + kl_weight * kl, "cross_entropy": error, "kl": kl}


def fit_cvae(settings: OODGenCVAE, inputs: Inputs, run: Run) -> tuple[OneHotCVAE, TrainingResult]:
    """Train the CVAE on the ID images; a part of them decides when to stop."""
    torch.manual_seed(run.seed)
    cvae = build_cvae(settings).to(run.compute.device, memory_format=torch.channels_last).train()

    def loss(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return cvae_loss(images, *cvae(images, labels), settings.kl_weight)

    training, validation = split(inputs.images, settings.validation_share, run.seed)
    data = batches(training, settings.batch_size)
    watched = Validation(held_out=tensors(validation), patience=settings.patience)
    trained = train(cvae, loss, data, settings, run, validation=watched)
    return cvae.eval(), trained


# Type I: off the manifold


def jacobian_chunk(device: torch.device, latent: int, pixels: int) -> int:
    """Images whose Jacobians are computed at once: on a GPU as many as half of its free memory
    holds."""
    if device.type == "cpu":
        return JACOBIAN_CHUNK
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, free // 2 // (JACOBIAN_BYTES * latent * pixels))


def decoder_jacobian(cvae: OneHotCVAE, latents: Tensor, one_hot: Tensor) -> Tensor:
    """d decoder(z, y) / dz after the sigmoid, y fixed: ``[N, C * H * W, L]``.

    One forward-mode pass per latent dimension, all at once; the primal pass is shared.
    """

    def along(tangent: Tensor) -> Tensor:
        directions = tangent.expand_as(latents)
        return jvp(lambda z: cvae.decode(z, one_hot).flatten(1), (latents,), (directions,))[1]

    with warnings.catch_warnings():
        # forward derivatives still load what PyTorch itself calls deprecated
        warnings.filterwarnings("ignore", "`torch.jit.script` is", FutureWarning)
        return vmap(along, out_dims=2)(torch.eye(latents.shape[1], device=latents.device))


def projected_directions(jacobian: Tensor) -> Tensor:
    """Isotropic random unit vectors of the null space of J^T, ``[N, P, L]`` -> ``[N, P]``.

    v = (I - Q Q^T) g with g ~ N(0, I) and Q an orthonormal basis of J's columns, scaled to length
    1. Q = J V / s from the eigenvectors V and eigenvalues s^2 of the small J^T J, in float64: a GPU
    factorises tall matrices one by one. Columns with s below 1e-6 of the largest are left in.
    """
    direction = torch.randn(jacobian.shape[:2], device=jacobian.device).to(jacobian)[:, :, None]
    jacobian = jacobian.double()
    squares, vectors = torch.linalg.eigh(jacobian.mT @ jacobian)
    kept = squares > 1e-12 * squares[:, -1:]
    scales = torch.where(kept, squares, 1).rsqrt() * kept
    basis = (jacobian @ (vectors * scales[:, None])).to(direction)
    for _ in range(2):  # the second time removes what rounding left
        direction = direction - basis @ (basis.mT @ direction)
    return F.normalize(direction.squeeze(2), dim=1)


def rref_directions(jacobian: Tensor) -> Tensor:
    """The released code's unit vectors of the null space of J^T, ``[N, P, L]`` -> ``[N, P]``.

    The basis is that of the reduced row echelon form R of J^T: for each column j without pivot e_j
    minus R's column j, put at the pivots. Each is scaled to length 1 and weighted by U(-1, 1). The
    pivots are the first pixels, where J is tiny: most of a direction's energy sits on these few.
    """
    shape, device = jacobian.shape[:2], jacobian.device
    weights = torch.rand(shape, dtype=torch.float64, device=device).mul(2).sub(1)
    reduced, pivots = rref(jacobian.double().mT)
    weights = weights * (1 - pivots.sum(1)) * (1 + reduced.square().sum(1)).rsqrt()
    onto_pivots = (weights[:, None] @ reduced.mT @ pivots).squeeze(1)
    return F.normalize(weights - onto_pivots, dim=1).to(jacobian)


def rref(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Reduced row echelon forms of float64 ``[N, L, P]``, by Gauss-Jordan with the largest pivots.

    :return: the forms, and for each row 1 at its pivot's column and 0 elsewhere, both ``[N, L, P]``
    """
    reduced, pivots = matrices.clone(), torch.zeros_like(matrices)
    count, rows, columns = matrices.shape
    tolerance = torch.finfo(torch.float64).eps * max(rows, columns) * matrices.abs().amax((1, 2))
    every = torch.arange(count, device=matrices.device)
    numbers = torch.arange(rows, device=matrices.device)
    check = PIVOT_CHECK[matrices.device.type]
    # pivots so far, which is also the row that the next one is brought to
    done = torch.zeros_like(every)
    for column in range(columns):
        sizes = reduced[:, :, column].abs().masked_fill(numbers < done[:, None], -1)
        size, best = sizes.max(1)
        found = size > tolerance
        # a matrix without a pivot here keeps its rows
        row = done.clamp(max=rows - 1)
        best = torch.where(found, best, row)
        chosen, displaced = reduced[every, best], reduced[every, row]
        reduced[every, best] = displaced
        chosen = chosen / torch.where(found, chosen[:, column], 1)[:, None]
        reduced[every, row] = chosen
        others = found[:, None] & (numbers != row[:, None])
        reduced -= torch.where(others, reduced[:, :, column], 0)[:, :, None] * chosen[:, None]
        pivots[every, row, column] = found.to(pivots)
        done += found
        # once all rows have a pivot, more columns change nothing
        if column % check == 0 and bool((done == rows).all()):
            break
    return reduced, pivots


DIRECTIONS = {"projected": projected_directions, "rref": rref_directions}


# Type II: on the manifold, outside the data


@dataclass(frozen=True)
class Ellipsoid:
    """The Gaussian of a class's latents, in the subspace where they vary.

    :param mean: ``[L]``
    :param axes: ``[L, r]``, A with A A^T = covariance: eigenvectors times standard deviations; the
        encoder's small dense layer often leaves r < L
    :param radius: r_c, the Mahalanobis distance within which a given share of the latents lies
    :param outer: ``[L, m]``, what leads from the unit sphere of type II to the latents, see
        ``fit_ellipsoid``
    """

    mean: Tensor
    axes: Tensor
    radius: float
    outer: Tensor

    def distance(self, latents: Tensor) -> Tensor:
        """Mahalanobis distance inside the subspace, ``[N, L]`` -> float64 ``[N]``."""
        return ((latents.double() - self.mean) @ torch.linalg.pinv(self.axes).T).norm(dim=1)

    def shell(self, radii: Tensor) -> Tensor:
        """Latents of uniform directions, ``[N]`` -> float64 ``[N, L]``; with the axes ``eigen`` at
        these distances."""
        shape, dtype = (len(radii), self.outer.shape[1]), torch.float64
        directions = F.normalize(torch.randn(shape, dtype=dtype, device=radii.device), dim=1)
        return self.mean + (radii[:, None] * directions) @ self.outer.T


def published_factor(covariance: Tensor) -> Tensor:
    """The released code's triangular factor of a covariance ``[L, L]``.

    It is meant to be Cholesky's, but leaves a sum out and divides the pivots' squares: entry ij is
    cov_ij / sqrt(|cov_jj - sum of the squares left of jj|). Latents that are drawn with it lie
    farther out than asked for, about twice the radius of 95 % in the median.
    """
    factor = torch.zeros_like(covariance)
    for j in range(len(covariance)):
        pivot = (covariance[j, j] - factor[j, :j].square().sum()).abs().sqrt()
        # a latent that does not vary stays where it is
        if pivot > 0:
            factor[j:, j] = covariance[j:, j] / pivot
    return factor


def fit_ellipsoid(latents: Tensor, quantile: float, shell_axes: str) -> Ellipsoid:
    """The ellipsoid of one class's latents ``[N, L]``, in float64.

    Eigenvalues below 1e-6 of the largest are dropped: the covariance is often singular.

    :param shell_axes: ``eigen``: type II at exact distances; ``published``: by ``published_factor``
    :raises InputError: if the latents are all the same
    """
    latents = latents.double()
    mean, covariance = latents.mean(0), torch.atleast_2d(torch.cov(latents.T))
    values, vectors = torch.linalg.eigh(covariance)
    if not values[-1] > 0:
        raise InputError("the CVAE gives all images of a class the same latent; train it longer")
    kept = values > 1e-6 * values[-1]
    axes = vectors[:, kept] * values[kept].sqrt()
    distances = Ellipsoid(mean, axes, 1.0, axes).distance(latents).sort().values
    outer = axes if shell_axes == "eigen" else published_factor(covariance)
    return Ellipsoid(mean, axes, float(distances[int(quantile * len(distances))]), outer)


@dataclass(frozen=True)
class Base:
    """ID images on the CVAE's device, to draw pseudo-OOD images around.

    :param images: uint8 ``[N, C, H, W]`` in [0, 255]
    :param labels: int64 ``[N]`` in 0 .. K - 1
    :param latents: ``[N, L]``, the encoder's means
    """

    images: Tensor
    labels: Tensor
    latents: Tensor


def encode(cvae: OneHotCVAE, image_set: ImageSet) -> Base:
    """The images with their latents; in batches."""
    images, labels = (part.to(cvae.mean.weight.device) for part in tensors(image_set))
    batches = zip(images.split(1000), labels.split(1000), strict=True)
    with torch.no_grad():
        latents = torch.cat([cvae.encode(to_unit(some), those)[0] for some, those in batches])
    return Base(images, labels, latents)


def fit_ellipsoids(base: Base, settings: Generation) -> list[Ellipsoid]:
    """One for each class, in the order of the classes. Warns where half of the latents are unused:
    what is generated then is no boundary of the data.
    """
    found = []
    for k in range(int(base.labels.max()) + 1):
        mine = base.latents[base.labels == k]
        found.append(fit_ellipsoid(mine, settings.radius_quantile, settings.shell_axes))
        used, latent = int((mine.var(0) > USED).sum()), mine.shape[1]
        log_at = log.warning if 2 * used < latent else log.info
        rank, radius = found[k].axes.shape[1], found[k].radius
        text = "class %d: %d of %d latents are used, rank %d, radius %.3f"
        log_at(text, k, used, latent, rank, radius)
    return found


@dataclass(frozen=True)
class Generator:
    """Draws both types from PyTorch's global random state."""

    cvae: OneHotCVAE
    settings: Generation
    ellipsoids: list[Ellipsoid]
    base: Base

    def type1(self, chosen: Tensor, lengths: Tensor | None = None) -> Tensor:
        """x + s e v: a step of length e ~ U(a, b) off the manifold, either way.

        :param chosen: int64 indices ``[M]`` of base images
        :param lengths: ``[M]``, instead of random ones
        :return: ``[M, C, H, W]``, uint8, or float32 if ``type1_bytes`` is off; if ``clip_type1`` is
            off, values leave [0, 1]
        """
        base = self.base
        directions = DIRECTIONS[self.settings.null_space]
        found = []
        with torch.no_grad():
            latent, pixels = base.latents.shape[1], base.images[0].numel()
            for part in chosen.split(jacobian_chunk(chosen.device, latent, pixels)):
                one_hot = self.cvae.one_hot(base.labels[part])
                jacobian = decoder_jacobian(self.cvae, base.latents[part], one_hot)
                found.append(directions(jacobian))
        if lengths is None:
            low, high = self.settings.lengths
            lengths = torch.rand(len(chosen), device=chosen.device) * (high - low) + low
        signs = torch.randint(0, 2, (len(chosen),), device=chosen.device) * 2 - 1
        steps = torch.cat(found) * (signs * lengths.to(chosen.device))[:, None]
        images = to_unit(base.images[chosen]) + steps.view(-1, *base.images.shape[1:])
        if self.settings.type1_bytes:
            return to_bytes(images)
        return images.clamp(0, 1) if self.settings.clip_type1 else images

    def type2(self, labels: Tensor, factors: Tensor | None = None) -> Tensor:
        """Decoded latents of each label's shell, rho ~ U(first, second) r_c.

        :param labels: int64 ``[M]``
        :param factors: ``[M]``, multiples of r_c instead of random ones
        :return: uint8 ``[M, C, H, W]``
        """
        latents = self.shell(labels, factors).float()
        with torch.no_grad():
            return torch.cat(
                [
                    to_bytes(self.cvae.decode(some, self.cvae.one_hot(those)))
                    for some, those in zip(latents.split(256), labels.split(256), strict=True)
                ]
            )

    def shell(self, labels: Tensor, factors: Tensor | None = None) -> Tensor:
        """The latents of type II, float64 ``[M, L]``; see ``type2``."""
        if factors is None:
            low, high = self.settings.shell
            drawn = torch.rand(len(labels), dtype=torch.float64, device=labels.device)
            factors = drawn * (high - low) + low
        factors = factors.to(labels.device, torch.float64)
        latents = factors.new_empty(len(labels), self.cvae.latent)
        for k, one in enumerate(self.ellipsoids):
            of_class = labels == k
            latents[of_class] = one.shell(one.radius * factors[of_class])
        return latents

    def sample(self, count: int) -> Tensor:
        """Indices of ``count`` base images without repetition, or of all where there are fewer."""
        labels = self.base.labels
        return torch.randperm(len(labels), device=labels.device)[:count]


# Stage 2: the classifier with a reject class


def rejecting_loss(
    logits: Tensor, labels: Tensor, pseudo_logits: Tensor, weight: float
) -> dict[str, Tensor]:
    """Cross-entropy over K + 1 classes, the reject class weighted, averaged over the batch *size*.

    :param logits: of ID images, ``[N, K + 1]``
    :param pseudo_logits: of pseudo-OOD images, ``[M, K + 1]``
    """
    reject = torch.full((len(pseudo_logits),), logits.shape[1] - 1, device=labels.device)
    known = F.cross_entropy(logits, labels, reduction="sum")
    rejected = F.cross_entropy(pseudo_logits, reject, reduction="sum")
    return {
        "loss": (known + weight * rejected) / (len(logits) + len(pseudo_logits)),
        "accuracy": (logits.argmax(1) == labels).float().mean(),
        "rejected": (pseudo_logits.argmax(1) == reject).float().mean(),
    }


class Pools:
    """The pseudo-OOD images of an epoch; a pure function of seed and epoch, so that a resumed run
    finds the same."""

    def __init__(self, generator: Generator, settings: OODGenClassifier, seed: int):
        self.generator, self.settings, self.seed = generator, settings, seed
        self.made: dict[str, int] = {}
        self.images: dict[str, Tensor] = {}

    def refresh(self, epoch: int) -> None:
        """Draw what is due: type I every ``type1_every`` epochs, type II every ``type2_every``."""
        generator = self.generator
        makers: dict[str, Callable[[Tensor], Tensor]] = {
            "type1": generator.type1,
            "type2": lambda chosen: generator.type2(generator.base.labels[chosen]),
        }
        every = {"type1": self.settings.type1_every, "type2": self.settings.type2_every}
        for name, make in makers.items():
            number = (epoch - 1) // every[name]
            if self.made.get(name) != number:
                torch.manual_seed(derive_seed(self.seed, name, number))
                self.images[name] = make(generator.sample(self.settings.pool_size))
                self.made[name] = number

    def draw(self) -> Tensor:
        """Images of one step, ``type1_per_batch`` and ``type2_per_batch``, drawn with repetition;
        float32 ``[M, C, H, W]``."""
        parts = []
        counts = {"type1": self.settings.type1_per_batch, "type2": self.settings.type2_per_batch}
        for name, pool in self.images.items():
            index = torch.randint(0, len(pool), (counts[name],), device=pool.device)
            parts.append(to_unit(pool[index]))
        return torch.cat(parts)


def fit_classifier(
    settings: OODGenClassifier, inputs: Inputs, run: Run
) -> tuple[Classifier, TrainingResult]:
    """Train the K + 1 classifier on ID images, type I and type II.

    The loss on the held-out part, with pools of its own, is recorded, and decides where
    ``patience`` is given.
    """
    cvae = restore(build_cvae, inputs.models["vae"].content, run.compute)
    torch.manual_seed(run.seed)
    network = build_classifier(settings)
    network.to(run.compute.device, memory_format=torch.channels_last).train()
    training, validation = split(inputs.images, settings.validation_share, run.seed)
    base = encode(cvae, training)
    ellipsoids = fit_ellipsoids(base, settings.generation)

    def pools_around(base: Base, *name: str) -> Pools:
        generator = Generator(cvae, settings.generation, ellipsoids, base)
        return Pools(generator, settings, derive_seed(run.seed, *name))

    pools = pools_around(base)
    held_out = pools_around(encode(cvae, validation), "validation")
    held_out.refresh(1)

    def loss(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        pseudo = (pools if network.training else held_out).draw()
        logits = network(torch.cat([images, pseudo])).float()
        known, rejected = logits[: len(images)], logits[len(images) :]
        return rejecting_loss(known, labels, rejected, settings.reject_weight)

    trained = train(
        network,
        loss,
        batches(training, settings.batch_size),
        settings,
        run,
        validation=Validation(held_out=tensors(validation), patience=settings.patience),
        before_epoch=pools.refresh,
        snapshot_every=settings.snapshot_every if run.snapshots else None,
    )
    return network.eval(), trained


def cvae_health(
    cvae: OneHotCVAE, settings: OODGenCVAE, image_set: ImageSet, compute: Compute
) -> dict[str, float]:
    """Whether the latent holds anything."""
    labels = torch.from_numpy(image_set.labels).to(compute.device)
    with torch.no_grad(), compute.autocast():
        images = to_unit(to_tensor(image_set.images).to(compute.device))
        return of_latents(*cvae.encode(images, labels))


NETWORKS = {"oodgen_cvae": build_cvae, "oodgen_classifier": build_classifier}
MODELS = {"oodgen_cvae": fit_cvae, "oodgen_classifier": fit_classifier}
HEALTH = {"oodgen_cvae": cvae_health, "oodgen_classifier": classifiers.health}


# Generated images to keep, to look at and to test with


GENERATED_FROM = Generation


def generate(settings: Generation, inputs: Inputs, run: Run) -> PseudoOOD:
    """Type I and type II around training images, and around each half of the ID test images."""
    cvae = restore(build_cvae, inputs.models["vae"].content, run.compute)
    base = encode(cvae, inputs.images)
    ellipsoids = fit_ellipsoids(base, settings)
    generator = Generator(cvae, settings, ellipsoids, base)

    torch.manual_seed(run.seed_of("samples"))
    index = generator.sample(SAMPLES)
    labels = base.labels[index]
    samples = {"type1": generator.type1(index), "type2": generator.type2(labels)}
    sets = {
        name: ImageSet(to_array(images), labels.cpu().numpy()) for name, images in samples.items()
    }

    torch.manual_seed(run.seed_of("test"))
    on_test = Generator(cvae, settings, ellipsoids, encode(cvae, inputs.test))
    first, second = on_test.sample(len(inputs.test)).chunk(2)
    parts = [on_test.type1(first), on_test.type2(on_test.base.labels[second])]
    if not settings.type1_bytes:
        parts = [to_unit(part) for part in parts]
    kinds = np.repeat([0, 1], [len(part) for part in parts])
    sets["test"] = ImageSet(to_array(torch.cat(parts)), kinds)

    torch.manual_seed(run.seed_of("grid"))
    rows, heads = _gallery(generator, inputs.classes)
    return PseudoOOD(
        sets, rows, heads, ["type I", "type II"], _plane(generator, index, inputs.classes)
    )


def _gallery(
    generator: Generator, classes: tuple[int, ...]
) -> tuple[list[tuple[str, np.ndarray]], list[str]]:
    """For each class a real image, type I at growing steps, type II at growing distances."""
    base, settings = generator.base, generator.settings
    lengths = torch.from_numpy(np.geomspace(*settings.lengths, STEPS)).float()
    factors = torch.linspace(*settings.shell, STEPS)
    heads = ["real"] + [f"I, {one:.2g}" for one in lengths]
    heads += [f"II, {one:.3g}" for one in factors]
    rows = []
    for k in range(generator.cvae.n_classes):
        image = (base.labels == k).nonzero()[0]
        strip = [
            to_unit(base.images[image]),
            to_unit(generator.type1(image.repeat(STEPS), lengths)),
            to_unit(generator.type2(base.labels[image].repeat(STEPS), factors)),
        ]
        rows.append((f"class {classes[k]}", to_array(torch.cat(strip))))
    return rows, heads


def _plane(generator: Generator, index: Tensor, classes: tuple[int, ...]) -> dict:
    """Latents of ID images and of type II in the plane of the largest variance; with two latents,
    all there is, and the outlines of the shells."""
    base, latent = generator.base, generator.cvae.latent
    latents, labels = base.latents[index].double(), base.labels[index]
    plane = torch.linalg.svd(latents - latents.mean(0), full_matrices=False)[2][:2]
    if latent <= 2:
        plane = torch.eye(2, latent, dtype=torch.float64, device=latents.device)
    angles = torch.linspace(0, 2 * torch.pi, 100, dtype=torch.float64)
    circle = torch.stack([angles.cos(), angles.sin()]).to(latents.device)
    outlines = [
        [
            (one.mean[:, None] + factor * one.radius * one.axes @ circle).T.cpu().numpy()
            for factor in generator.settings.shell
        ]
        if one.axes.shape == (2, 2)
        else []
        for one in generator.ellipsoids
    ]
    return {
        "title": f"latents of {len(labels)} ID images (dots), type II in their shells (crosses)",
        "known": (latents @ plane.T).cpu().numpy(),
        "shell": (generator.shell(labels) @ plane.T).cpu().numpy(),
        "labels": np.asarray(classes)[labels.cpu().numpy()],
        "outlines": outlines,
    }


def fit(settings: OODGen, inputs: Inputs, run: Run) -> Fitted:
    """One of the two scores of the classifier."""
    saved = inputs.models["classifier"]
    content = {"score": settings.score, "classifier": saved.content}
    snapshots = saved.snapshots if run.snapshots else {}
    return Fitted(content, settings.record, saved.parameters, snapshots=snapshots)


# Scoring


class OODGenDetector(Detector):
    """The K + 1 classifier with one of two scores.

    ``reject``: log p_K - log(1 - p_K), and an image that is rejected belongs to no class.
    ``max``: the largest ID probability p_k of the same softmax, as log(1 - p_k) - log p_k, and the
    class is taken among the ID classes.
    """

    def __init__(self, classifier: torch.nn.Module, score: str, n_classes: int):
        self.classifier = classifier
        self.kind = score
        self.n_classes = n_classes

    def detect(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.classifier(images).double()
        if self.kind == "reject":
            best = logits.argmax(1)
            classes = torch.where(best == self.n_classes, -1, best)
            return classifiers.reject_log_odds(logits, self.n_classes), classes
        best = logits[:, : self.n_classes].argmax(1, keepdim=True)
        others = logits.scatter(1, best, -torch.inf)
        score = torch.logsumexp(others, dim=1) - logits.gather(1, best).squeeze(1)
        return score, best.squeeze(1)


def restore_cached(content: dict, compute: Compute) -> FeatureCache:
    """The classifier, which keeps its last batch."""
    return FeatureCache(restore(classifiers.build, content, compute))


def load(content: dict, compute: Compute) -> OODGenDetector:
    """The detector of ``fit``."""
    classifier = compute.shared(restore_cached, content["classifier"])
    n_classes = content["classifier"]["settings"]["n_classes"]
    return OODGenDetector(classifier, content["score"], n_classes)


def at_snapshot(detector: OODGenDetector, state: dict[str, Tensor]) -> OODGenDetector:
    """The detector with its classifier as it was at a snapshot."""
    classifier = copy.deepcopy(detector.classifier.extractor)
    classifier.load_state_dict(state)
    return OODGenDetector(FeatureCache(classifier), detector.kind, detector.n_classes)
