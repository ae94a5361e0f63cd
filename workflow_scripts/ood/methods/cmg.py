"""CMG, class-mixed generation: CMG-s (softmax) and CMG-e (energy).

A conditional VAE that is given *mixed* class embeddings and far-out latents draws images that
resemble the ID classes without being any of them. Stage 1 trains a classifier (``ood.classifier``)
and the CVAE; stage 2 freezes the classifier's feature extractor and fine-tunes its head to tell
ID images from fresh pseudo-OOD images.
"""

import copy
import logging

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ood.augmentations import by_name
from ood.data.images import ImageSet, to_array, to_bytes, to_tensor
from ood.detection import classifier as classifiers
from ood.detection.contract import Detector, Fitted, PseudoOOD
from ood.detection.logit_scores import energy
from ood.errors import InputError
from ood.models.base import Classifier
from ood.models.vae import CVAE
from ood.settings.cmg import CMG, CMGCVAE
from ood.training.batches import Batches, batches
from ood.training.device import Compute
from ood.training.health import of_latents
from ood.training.loop import train
from ood.training.model_files import TrainingResult, cpu_state, restore
from ood.training.run import Inputs, Run, derive_seed

log = logging.getLogger(__name__)

# generated images that are kept, and images in one pass over a whole set
SAMPLES, CHUNK = 512, 1000


# Stage 1: the conditional VAE


def build_cvae(settings: CMGCVAE) -> CVAE:
    """A CVAE with fresh weights."""
    return CVAE(
        tuple(settings.shape),
        settings.n_classes,
        settings.architecture,
        settings.latent,
        settings.hidden,
        settings.width,
        # the other architecture has none
        settings.padding or 0,
    )


def cvae_loss(
    images: Tensor,
    reconstructions: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    kl_weight: float = 1.0,
) -> dict[str, Tensor]:
    """Squared error averaged over the C*H*W pixels + KL / (C*H*W), both averaged over the batch.

    With ``kl_weight`` 1, as published, this is the usual sum form with a Gaussian of variance 1/2,
    divided by the number of pixels. Images with few pixels need less: the latent is used only
    where it saves more squared error, summed over the pixels, than it costs.
    """
    pixels = images[0].numel()
    error = F.mse_loss(reconstructions.float(), images)
    mean, log_variance = mean.float(), log_variance.float()
    kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
    return {"loss": error + kl_weight * kl / pixels, "squared_error": error, "kl": kl}


def fit_cvae(settings: CMGCVAE, inputs: Inputs, run: Run) -> tuple[CVAE, TrainingResult]:
    """Train the CVAE on the ID images (stage 1)."""
    torch.manual_seed(run.seed)
    cvae = build_cvae(settings).to(run.compute.device, memory_format=torch.channels_last).train()

    def loss(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return cvae_loss(images, *cvae(images, labels), settings.kl_weight)

    data = batches(inputs.images, settings.batch_size, augment=by_name(settings.augmentation))
    trained = train(cvae, loss, data, settings, run)
    return cvae.eval(), trained


def cvae_health(
    cvae: CVAE, settings: CMGCVAE, image_set: ImageSet, compute: Compute
) -> dict[str, float]:
    """Whether the latent holds anything."""
    mean, log_variance = compute.batched(cvae.encode, to_tensor(image_set.images), CHUNK)
    return of_latents(mean, log_variance)


NETWORKS = {"cmg_cvae": build_cvae}
MODELS = {"cmg_cvae": fit_cvae}
HEALTH = {"cmg_cvae": cvae_health}


# Class-mixed generation


def mix(first: Tensor, second: Tensor) -> Tensor:
    """Take each dimension of ``[N, D]`` from the first or the second embedding with chance 1/2."""
    return torch.where(torch.rand(first.shape, device=first.device) < 0.5, first, second)


def generate_images(cvae: CVAE, count: int, sigma: float) -> tuple[Tensor, Tensor]:
    """Pseudo-OOD images from PyTorch's global random state.

    Two classes are drawn independently (they may be equal), their embeddings mixed per dimension,
    and the latent drawn from N(0, ``sigma``^2 I).

    :return: images ``[count, C, H, W]`` in [0, 1] and the int64 class pairs ``[count, 2]``
    """
    device = cvae.mean.weight.device
    pairs = torch.randint(0, cvae.n_classes, (count, 2), device=device)
    latent = sigma * torch.randn(count, cvae.latent, device=device)
    with torch.no_grad():
        embedding = mix(cvae.embed(pairs[:, 0]), cvae.embed(pairs[:, 1]))
        return cvae.decode(latent, embedding).float(), pairs


GENERATED_FROM = CMG


def generate(settings: CMG, inputs: Inputs, run: Run) -> PseudoOOD:
    """Images as fine-tuning sees them; a label is the pair of mixed classes, first * K + second."""
    cvae = restore(build_cvae, inputs.models["cvae"].content, run.compute)
    torch.manual_seed(run.seed_of("samples"))
    images, pairs = generate_images(cvae, SAMPLES, settings.sigma)
    labels = (pairs[:, 0] * cvae.n_classes + pairs[:, 1]).cpu().numpy().astype(np.int64)
    samples = ImageSet(to_array(to_bytes(images)), labels)
    rows = sample_gallery(cvae, settings.sigma)
    return PseudoOOD({"samples": samples}, [(head, to_array(to_bytes(row))) for head, row in rows])


def sample_gallery(cvae: CVAE, sigma: float, columns: int = 12) -> list[tuple[str, Tensor]]:
    """Rows of images to look at: one class near the manifold, one class far out, mixed far out."""
    device = cvae.mean.weight.device
    labels = torch.arange(columns, device=device) % cvae.n_classes
    latent = torch.randn(columns, cvae.latent, device=device)
    with torch.no_grad():
        embedding = cvae.embed(labels)
        near, far = (cvae.decode(scale * latent, embedding).float() for scale in (1.0, sigma))
    mixed = [generate_images(cvae, columns, sigma)[0] for _ in range(2)]
    rows = [("one class, s = 1", near), (f"one class, s = {sigma:g}", far)]
    return rows + [(f"mixed, s = {sigma:g}", images) for images in mixed]


# Stage 2: fine-tuning the head


def softmax_loss(
    logits: Tensor, labels: Tensor, pseudo_logits: Tensor, n_classes: int
) -> dict[str, Tensor]:
    """CMG-s: CE over all logits of ID images + CE of pseudo-OOD towards logit K among 0..K."""
    known = F.cross_entropy(logits, labels)
    reject = torch.full((len(pseudo_logits),), n_classes, device=labels.device)
    rejected = F.cross_entropy(pseudo_logits[:, : n_classes + 1], reject)
    return {"loss": known + rejected, "known": known, "rejected": rejected}


def energy_loss(
    logits: Tensor,
    labels: Tensor,
    pseudo_logits: Tensor,
    margins: tuple[float, float],
    weight: float,
) -> dict[str, Tensor]:
    """CMG-e: CE + weight * (mean max(0, E(x) - m_in)^2 + mean max(0, m_out - E(pseudo))^2).

    The energy runs over all logits, the reject logit included.
    """
    known = F.cross_entropy(logits, labels)
    inner = F.relu(energy(logits) - margins[0]).square().mean()
    outer = F.relu(margins[1] - energy(pseudo_logits)).square().mean()
    return {"loss": known + weight * (inner + outer), "known": known, "in": inner, "out": outer}


def energy_margins(
    energies: Tensor, pseudo_energies: Tensor, in_quantile: float, out_quantile: float
) -> tuple[float, float]:
    """m_in and m_out: elements int(q n) of the sorted ID and pseudo-OOD energies.

    :raises InputError: unless m_in < m_out; the margins would contradict each other
    """
    m_in = energies.sort().values[int(in_quantile * len(energies))].item()
    m_out = pseudo_energies.sort().values[int(out_quantile * len(pseudo_energies))].item()
    if not m_in < m_out:
        raise InputError(
            f"CMG-e: m_in = {m_in:.4f} (quantile {in_quantile} of the ID energies) is not below "
            f"m_out = {m_out:.4f} (quantile {out_quantile} of the pseudo-OOD energies): the "
            "classifier gives pseudo-OOD more confidence than ID images; train it longer or "
            "raise sigma"
        )
    return m_in, m_out


def fine_tune(
    settings: CMG,
    classifier: Classifier,
    cvae: CVAE,
    image_set: ImageSet,
    run: Run,
) -> TrainingResult:
    """Stage 2: train ``classifier.head`` in place on ID images and fresh pseudo-OOD images.

    The extractor stays in eval mode and untouched, so the ID images' features are computed once.
    """
    classifier.eval().head.requires_grad_(True)
    features = run.compute.batched(
        lambda images: classifier.features(images).float(), to_tensor(image_set.images), CHUNK
    )

    def pseudo_features() -> Tensor:
        with torch.no_grad():
            generated, _ = generate_images(cvae, settings.pseudo_per_batch, settings.sigma)
            return classifier.features(generated)

    head = classifier.head
    n_classes = cvae.n_classes
    if settings.loss == "softmax":

        def loss(batch: Tensor, labels: Tensor) -> dict[str, Tensor]:
            pseudo_logits = head(pseudo_features()).float()
            return softmax_loss(head(batch).float(), labels, pseudo_logits, n_classes)

    else:
        chosen = settings.energy
        torch.manual_seed(derive_seed(run.seed, "margins"))
        batches = -(-len(image_set) // settings.batch_size)
        with torch.no_grad(), run.compute.autocast():
            drawn = [energy(head(pseudo_features()).float()) for _ in range(batches)]
            margins = energy_margins(
                energy(head(features).float()),
                torch.cat(drawn),
                chosen.in_quantile,
                chosen.out_quantile,
            )
        log.info("m_in %.4f, m_out %.4f", *margins)

        def loss(batch: Tensor, labels: Tensor) -> dict[str, Tensor]:
            pseudo_logits = head(pseudo_features()).float()
            return energy_loss(head(batch).float(), labels, pseudo_logits, margins, chosen.weight)

    return train(
        classifier,
        loss,
        Batches(features, torch.from_numpy(image_set.labels), settings.batch_size),
        settings,
        run,
        part=head,
        snapshot_every=settings.snapshot_every if run.snapshots else None,
    )


def fit(settings: CMG, inputs: Inputs, run: Run) -> Fitted:
    """Fine-tune the classifier into a detector (stage 2)."""
    saved = inputs.models["classifier"]
    classifier = restore(classifiers.build, saved.content, run.compute)
    cvae = restore(build_cvae, inputs.models["cvae"].content, run.compute)
    trained = fine_tune(settings, classifier, cvae, inputs.images, run)
    tuned = saved.content | {"state": cpu_state(classifier)}
    return Fitted(
        {"loss": settings.loss, "classifier": tuned},
        settings.record,
        saved.parameters,
        history=trained.history,
        snapshots=trained.snapshots,
    )


# Scoring


class CMGDetector(Detector):
    """The fine-tuned classifier.

    CMG-s scores log p_K - log(1 - p_K) with the softmax over logits 0..K; CMG-e scores
    -logsumexp of the ID logits 0..K-1.
    """

    def __init__(self, features: nn.Module, head: nn.Module, loss: str, n_classes: int):
        self.features = features
        self.head = head
        self.loss = loss
        self.n_classes = n_classes

    def detect(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.head(self.features(images)).double()
        known = logits[:, : self.n_classes]
        if self.loss == "softmax":
            return classifiers.reject_log_odds(logits, self.n_classes), known.argmax(1)
        return energy(known), known.argmax(1)


def load(content: dict, compute: Compute) -> CMGDetector:
    """The detector of ``fit``."""
    classifier = classifiers.restore_cached(content["classifier"], compute)
    n_classes = content["classifier"]["settings"]["n_classes"]
    return CMGDetector(classifier.features, classifier.head, content["loss"], n_classes)


def at_snapshot(detector: CMGDetector, state: dict[str, Tensor]) -> CMGDetector:
    """The detector with its head as it was at a snapshot; the extractor is shared."""
    head = copy.deepcopy(detector.head)
    head.load_state_dict(state)
    return CMGDetector(detector.features, head, detector.loss, detector.n_classes)
