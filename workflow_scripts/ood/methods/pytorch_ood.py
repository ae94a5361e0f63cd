"""Every detector of pytorch-ood (Kirchheim, Filax, Ortmeier, CVPRW 2022) that needs a classifier
and nothing else.

They see the classifier's last hidden layer in place of the images: what they call backbone or
encoder passes it on, head and model are the last linear map, for the ID classes alone. So one pass
serves them all. Not among the settings are those that need gradients to the pixels, maps of inner
layers, dropout, other images or a model of language, and OpenMax: it measures distances to those
classes alone that the batch holds, so that an image's score depends on the others.
"""

import inspect

import torch
from torch import Tensor, nn

from ood.detection import classifier as classifiers
from ood.detection.contract import Detector, Fitted
from ood.errors import InputError
from ood.models.base import Classifier
from ood.settings.pytorch_ood import PytorchOOD
from ood.training.batches import tensors
from ood.training.device import Compute
from ood.training.model_files import restore
from ood.training.run import Inputs, Run

# images in one pass over a whole set on a CPU
CHUNK = 1000


class Last(nn.Module):
    """The classifier's last linear map, without the reject logit."""

    def __init__(self, classifier: Classifier, n_classes: int):
        super().__init__()
        last = classifier.head[-1]
        self.weight = nn.Parameter(last.weight[:n_classes].detach().clone())
        self.bias = nn.Parameter(last.bias[:n_classes].detach().clone())

    def forward(self, hidden: Tensor) -> Tensor:
        return nn.functional.linear(hidden.flatten(1), self.weight, self.bias)


class AsMap(nn.Module):
    """Hidden values ``[N, D]`` as maps ``[N, D, 1, 1]``."""

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden[:, :, None, None]


def build(settings: PytorchOOD, last: Last):
    """The detector of the settings, not fitted.

    :raises InputError: if pytorch-ood is not installed, or the arguments are not the detector's
    """
    try:
        from pytorch_ood import detector as theirs
    except ImportError as error:
        raise InputError(
            "the pipeline pytorch_ood needs the package pytorch-ood: pip install pytorch-ood"
        ) from error
    name, arguments = settings.detector, settings.arguments
    kind = getattr(theirs, name)
    known = inspect.signature(kind.__init__).parameters
    given = {
        "model": last,
        "encoder": nn.Identity(),
        "backbone": AsMap(),
        "head": last,
        "w": last.weight.detach(),
        "b": last.bias.detach(),
    }
    parts = {part: one for part, one in given.items() if part in known}
    own = [part for part in known if part not in (*given, "self")]
    if wrong := [argument for argument in arguments if argument not in own]:
        raise InputError(f"{name} of pytorch-ood takes {', '.join(own)}, not {', '.join(wrong)}")
    missing = [
        part
        for part in own
        if known[part].default is inspect.Parameter.empty and part not in arguments
    ]
    if missing:
        raise InputError(f"{name} of pytorch-ood needs the argument {', '.join(missing)}")
    return kind(**parts, **arguments)


def fit(settings: PytorchOOD, inputs: Inputs, run: Run) -> Fitted:
    """Keep the hidden values of the ID training images, which the detector is fitted on when it is
    loaded: it holds objects that a model file may not hold.
    """
    saved, compute = inputs.models["classifier"], run.compute
    content = {"settings": settings.plain(), "classifier": saved.content}
    classifier = restore(classifiers.build, saved.content, compute)
    build(settings, Last(classifier, saved.settings.n_classes))
    images, labels = tensors(inputs.images.spread(settings.known_images))
    hidden = compute.batched(
        lambda part: classifier.hidden(part).cpu(), images, compute.chunk(CHUNK)
    )
    content |= {"hidden": hidden.float(), "labels": labels}
    return Fitted(content, settings.record, saved.parameters)


class Theirs(Detector):
    """One of pytorch-ood's detectors behind the classifier's hidden layer."""

    def __init__(self, detector, classifier: Classifier, last: Last):
        self.detector, self.classifier, self.last = detector, classifier, last

    def detect(self, images: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.classifier.hidden(images)
        predicted = self.last(hidden).argmax(1)
        with torch.autocast(images.device.type, enabled=False):
            return self.detector.predict(hidden.float()).double(), predicted


def load(content: dict, compute: Compute) -> Theirs:
    """The detector of ``fit``, fitted."""
    classifier = compute.shared(classifiers.restore_cached, content["classifier"])
    last = Last(classifier, content["classifier"]["settings"]["n_classes"]).to(compute.device)
    detector = build(PytorchOOD.read(content["settings"]), last).to(compute.device)
    if detector.requires_fit:
        known = torch.utils.data.TensorDataset(content["hidden"], content["labels"])
        detector.fit(torch.utils.data.DataLoader(known, batch_size=1000))
    return Theirs(detector, classifier, last)
