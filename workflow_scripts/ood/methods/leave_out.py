"""Ensemble of self-supervised leave-out classifiers (Vyas et al., ECCV 2018, arXiv 1809.03576).

The ID classes are split into groups. Each member takes one group for OOD images: it learns to
classify the other classes, and to be less sure of the group's images, by a margin on the entropy.
At test time an image takes a small step that makes a member surer; what the members' largest
probabilities and entropies say after it is summed. An ID class is unknown to one member only, an
OOD image to all.

Temperature and step are chosen on a validation OOD set, after training.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ood.augmentations import by_name
from ood.data.images import ImageSet, to_tensor
from ood.detection import contract as detectors
from ood.detection.classifier import build_features
from ood.detection.contract import Detector, Fitted
from ood.detection.logit_scores import entropy, largest_probability
from ood.evaluation import metrics
from ood.models.base import Classifier
from ood.settings.leave_out import LeaveOut, LeaveOutMember, PlainMember
from ood.training.batches import batches, split
from ood.training.device import Compute
from ood.training.health import class_health
from ood.training.loop import train
from ood.training.model_files import TrainingResult, restore
from ood.training.run import Inputs, Run
from ood.training.validation import Validation

# images in one pass on a CPU: the gradient to the input needs every layer's values
CHUNK = 100

# what calibration records of every temperature and step
CALIBRATED = ("auroc", "fpr95", "detection_error_original", "n_id", "n_ood")


# The members


def partition(n_classes: int, groups: int, seed: int | None) -> list[list[int]]:
    """The classes that each member leaves out; sizes differ by one at most.

    :param seed: of the permutation that is cut into groups (3 in the public code, by NumPy's legacy
        generator); None cuts the classes in order, the last ones first
    """
    if seed is None:
        return [part.tolist() for part in np.array_split(np.arange(n_classes), groups)][::-1]
    order = np.random.RandomState(seed).permutation(n_classes)
    return [part.tolist() for part in np.array_split(order, groups)]


class Member(nn.Module):
    """A classifier of the classes that it does not leave out; a ``plain_member`` leaves out none.

    ``forward`` maps images ``[N, C, H, W]`` in [0, 1] to logits ``[N, K']``; logit j belongs to the
    class ``classes[j]``.
    """

    def __init__(self, settings: LeaveOutMember | PlainMember):
        super().__init__()
        self.left_out: list[int] = []
        if isinstance(settings, LeaveOutMember):
            groups = partition(settings.n_classes, settings.groups, settings.partition_seed)
            self.left_out = groups[settings.group]
        kept = [k for k in range(settings.n_classes) if k not in self.left_out]
        self.classifier = Classifier(build_features(settings), None, len(kept))
        self.register_buffer("classes", torch.tensor(kept))

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(images)


def margin_loss(
    logits: Tensor, labels: Tensor, left_out_logits: Tensor, margin: float, weight: float
) -> dict[str, Tensor]:
    """CE + weight * max(0, margin + mean H(ID) - mean H(left out)), the paper's equation 1.

    :param logits: ``[N, K']`` of ID images, ``labels`` their positions among the kept classes
    :param left_out_logits: ``[M, K']``
    """
    known = F.cross_entropy(logits, labels)
    gap = entropy(left_out_logits).mean() - entropy(logits).mean()
    missing = F.relu(margin - gap)
    return {"loss": known + weight * missing, "known": known, "entropy_gap": gap}


def certainty(logits: Tensor) -> Tensor:
    """max p - H(p), float64 ``[N]``: in float32 a high temperature leaves no digits."""
    logits = logits.double()
    return largest_probability(logits) - entropy(logits)


def best_epoch(history: list[dict], tolerance: float) -> int:
    """The paper's rule: the epoch (from 1) with the lowest OOD detection error on the validation
    sets, of those whose ID accuracy was within ``tolerance`` of the best so far."""
    best, highest, lowest = 0, 0.0, np.inf
    for epoch, row in enumerate(history, 1):
        highest = max(highest, row["validation_accuracy"])
        error = row["ood_detection_error"]
        if row["validation_accuracy"] >= highest - tolerance and error < lowest:
            best, lowest = epoch, error
    return best


def fit_member(settings: LeaveOutMember, inputs: Inputs, run: Run) -> tuple[Member, TrainingResult]:
    """Train one member; each step sees as many left-out images as ID images.

    Both pass the network as one batch, so that batch norm sees both.
    """
    network = _fresh_member(settings, run)
    training, held_out = split(inputs.images, settings.validation_share, 0)
    kept = training.renumbered(network.classes.tolist())
    left_out = training.select(network.left_out)

    def loss(images: Tensor, labels: Tensor, others: Tensor) -> dict[str, Tensor]:
        logits = network(torch.cat([images, others])).float()
        logits, left_out_logits = logits[: len(images)], logits[len(images) :]
        terms = margin_loss(
            logits, labels, left_out_logits, settings.margin, settings.margin_weight
        )
        return terms | {"accuracy": (logits.argmax(1) == labels).float().mean()}

    data = batches(
        kept,
        settings.batch_size,
        beside=to_tensor(left_out.images),
        augment=by_name(settings.augmentation),
    )
    validation = _validation(network, held_out, settings, inputs, run)
    trained = train(network, loss, data, settings, run, validation=validation)
    return network.eval(), trained


def fit_plain_member(
    settings: PlainMember, inputs: Inputs, run: Run
) -> tuple[Member, TrainingResult]:
    """Train a net on all classes with cross-entropy; what it shares with a member is the same."""
    network = _fresh_member(settings, run)
    training, held_out = split(inputs.images, settings.validation_share, 0)

    def loss(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = network(images).float()
        accuracy = (logits.argmax(1) == labels).float().mean()
        return {"loss": F.cross_entropy(logits, labels), "accuracy": accuracy}

    data = batches(training, settings.batch_size, augment=by_name(settings.augmentation))
    validation = _validation(network, held_out, settings, inputs, run)
    trained = train(network, loss, data, settings, run, validation=validation)
    return network.eval(), trained


def _fresh_member(settings: LeaveOutMember | PlainMember, run: Run) -> Member:
    torch.manual_seed(run.seed)
    return Member(settings).to(run.compute.device, memory_format=torch.channels_last).train()


def _validation(
    network: Member,
    held_out: ImageSet,
    settings: LeaveOutMember | PlainMember,
    inputs: Inputs,
    run: Run,
) -> Validation:
    """Accuracy and OOD detection on the validation sets after each epoch, and the best epoch."""
    known = held_out.renumbered(network.classes.tolist()).spread(settings.validation_images)
    unknown = inputs.validation.spread(settings.validation_images)
    chunk = run.compute.chunk(CHUNK)
    measured = [to_tensor(one.images).to(run.compute.device) for one in (known, unknown)]
    known_labels = torch.from_numpy(known.labels).to(run.compute.device)

    def measure() -> dict[str, float]:
        logits = [
            run.compute.batched(lambda part: network(part).float(), images, chunk)
            for images in measured
        ]
        found = metrics.evaluate(*(-certainty(one).cpu().numpy() for one in logits))
        right = logits[0].argmax(1) == known_labels
        return {
            "validation_accuracy": int(right.sum()) / len(right),
            "ood_auroc": found["auroc"],
            "ood_detection_error": found["detection_error_original"],
        }

    return Validation(
        measure=measure, best=lambda history: best_epoch(history, settings.accuracy_tolerance)
    )


def member_health(
    network: Member,
    settings: LeaveOutMember | PlainMember,
    image_set: ImageSet,
    compute: Compute,
) -> dict[str, float]:
    """What its predictions of training images of the kept classes say."""
    kept = image_set.select(network.classes.tolist()).renumbered(network.classes.tolist())
    return class_health(network, len(network.classes), kept, compute)


NETWORKS = {"leave_out_member": Member, "plain_member": Member}
MODELS = {"leave_out_member": fit_member, "plain_member": fit_plain_member}
HEALTH = {"leave_out_member": member_health, "plain_member": member_health}


# The ensemble


class Ensemble:
    """All members on one batch of images; what detectors with other temperatures or steps share is
    computed once.

    :param perturbation: the step lowers the ``entropy`` (the paper), or as in ``odin`` the
        cross-entropy towards the predicted class (the public code)
    :param chunk: images whose gradients are computed at once
    """

    def __init__(
        self, members: Sequence[Member], n_classes: int, perturbation: str, chunk: int = CHUNK
    ):
        self.members = list(members)
        self.chunk = chunk
        self.n_classes = n_classes
        self.perturbation = perturbation
        self._images: Tensor | None = None
        self._logits: list[Tensor] = []
        self._steps: dict[float, list[Tensor]] = {}

    def _turn_to(self, images: Tensor) -> None:
        if self._images is not images:
            self._images, self._logits, self._steps = images, [], {}

    def logits(self, images: Tensor) -> list[Tensor]:
        """Each member's logits ``[N, K']``, float64."""
        self._turn_to(images)
        if not self._logits:
            self._logits = [member(images).double() for member in self.members]
        return self._logits

    def probabilities(self, images: Tensor) -> Tensor:
        """The mean of the members' softmax, 0 at the left-out classes, float64 ``[N, K]``."""
        total = torch.zeros(len(images), self.n_classes, dtype=torch.float64, device=images.device)
        for member, logits in zip(self.members, self.logits(images), strict=True):
            total[:, member.classes] += F.softmax(logits, dim=1)
        return total / len(self.members)

    def steps(self, images: Tensor, temperature: float) -> list[Tensor]:
        """For each member the signs ``[N, C, H, W]`` of the gradient that the step goes down."""
        self._turn_to(images)
        if temperature not in self._steps:
            found = [
                [self._signs(member, part, temperature) for part in images.split(self.chunk)]
                for member in self.members
            ]
            self._logits = [torch.cat([logits for logits, _ in parts]) for parts in found]
            # of one temperature at a time: they are as large as the images
            self._steps = {temperature: [torch.cat([sign for _, sign in part]) for part in found]}
        return self._steps[temperature]

    def _signs(self, member: Member, images: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Logits and signs of one part of the batch."""
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            logits = member(images).double()
            scaled = logits / temperature
            # the factor keeps gradients from vanishing in float32; signs do not change
            if self.perturbation == "entropy":
                value = temperature**2 * entropy(scaled).sum()
            else:
                value = temperature * F.cross_entropy(scaled, scaled.argmax(1), reduction="sum")
            (gradient,) = torch.autograd.grad(value, images)
        if self.perturbation == "entropy":
            return logits.detach(), gradient.sign()
        # as in the public code, no gradient counts as a positive one
        return logits.detach(), torch.where(gradient >= 0, 1.0, -1.0)


SCORES = {"certainty": certainty, "largest_probability": largest_probability}


class LeaveOutDetector(Detector):
    """The paper's algorithm 2 at one temperature and size of the step.

    :param score: of ``SCORES``: ``certainty`` is the paper's, ``largest_probability`` ODIN's
    :param epsilon: in units of [0, 1] pixels; the stepped images are not clipped
    """

    def __init__(self, ensemble: Ensemble, score: str, temperature: float, epsilon: float):
        self.ensemble = ensemble
        self.score_name = score
        self.temperature = temperature
        self.epsilon = epsilon

    def detect(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if self.epsilon:
            steps = self.ensemble.steps(images, self.temperature)
            found = [
                member(images - self.epsilon * step).double()
                for member, step in zip(self.ensemble.members, steps, strict=True)
            ]
        else:
            found = self.ensemble.logits(images)
        known = SCORES[self.score_name]
        score = -sum(known(logits / self.temperature) for logits in found)
        return score, self.ensemble.probabilities(images).argmax(1)


def choices(settings: LeaveOut) -> dict[str, dict[str, float]]:
    """Every pair of the settings' ``temperatures`` and ``epsilons``, by name."""
    pairs = itertools.product(settings.temperatures, settings.epsilons)
    return {
        f"temperature_{temperature:g}_epsilon_{epsilon:g}": {
            "temperature": temperature,
            "epsilon": epsilon,
        }
        for temperature, epsilon in pairs
    }


def calibration_sets(
    settings: LeaveOut,
    member: LeaveOutMember | PlainMember,
    image_set: ImageSet,
    validation: ImageSet,
) -> tuple[ImageSet, ImageSet]:
    """ID images that no member has been trained on, and validation OOD images."""
    held_out = split(image_set, member.validation_share, 0)[1]
    count = settings.calibration_images
    return held_out.spread(count), validation.spread(count)


def calibrate(settings: LeaveOut, members: list[dict], sets: tuple[ImageSet, ImageSet], run: Run):
    """Every temperature and step on the validation sets: rows, the highest AUROC first."""
    ensemble = build_ensemble(members, settings.perturbation, run.compute)
    candidates = {
        name: LeaveOutDetector(ensemble, settings.score, **choice)
        for name, choice in choices(settings).items()
    }
    known, unknown = (detectors.run(candidates, one, run.compute) for one in sets)
    rows = []
    for name, choice in choices(settings).items():
        found = metrics.evaluate(known[name][0], unknown[name][0])
        rows.append(choice | {key: found[key] for key in CALIBRATED})
    return sorted(rows, key=lambda row: -row["auroc"])


def fit(settings: LeaveOut, inputs: Inputs, run: Run) -> Fitted:
    """The ensemble at the temperature and step that are best on the validation sets."""
    saved = inputs.models["members"]
    members = [one.content for one in saved]
    sets = calibration_sets(settings, saved[0].settings, inputs.images, inputs.validation)
    rows = calibrate(settings, members, sets, run)
    choice = {name: float(rows[0][name]) for name in ("temperature", "epsilon")}
    kept = {"perturbation": settings.perturbation, "score": settings.score}
    return Fitted(
        {"members": members, **kept, **choice},
        replace(settings.record, tuned_on=inputs.validation_name),
        sum(one.parameters for one in saved),
        facts=choice,
        tables={"calibration": rows},
        snapshots=choices(settings) if run.snapshots else {},
    )


def load(content: dict, compute: Compute) -> LeaveOutDetector:
    """The detector of ``fit``."""
    ensemble = build_ensemble(content["members"], content["perturbation"], compute)
    choice = {name: content[name] for name in ("score", "temperature", "epsilon")}
    return LeaveOutDetector(ensemble, **choice)


def build_ensemble(members: list[dict], perturbation: str, compute: Compute) -> Ensemble:
    """The ensemble of the members' settings and states."""
    n_classes = members[0]["settings"]["n_classes"]
    networks = [restore(Member, one, compute) for one in members]
    return Ensemble(networks, n_classes, perturbation, compute.chunk(CHUNK))


def at_snapshot(detector: LeaveOutDetector, state: dict[str, float]) -> LeaveOutDetector:
    """The detector with another ``temperature`` and ``epsilon``."""
    return LeaveOutDetector(detector.ensemble, detector.score_name, **state)
