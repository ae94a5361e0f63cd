"""Every detector of pytorch-ood (Kirchheim, Filax, Ortmeier, CVPRW 2022) that needs a classifier
and nothing else.

They see the classifier's last hidden layer in place of the images: what they call backbone or
encoder passes it on, head and model are the last linear map, for the ID classes alone. So one pass
serves them all. Not among ``RECORDS`` are those that need gradients to the pixels, maps of inner
layers, dropout, other images or a model of language, and OpenMax: it measures distances to those
classes alone that the batch holds, so that an image's score depends on the others.
"""

import inspect

import torch
from torch import Tensor, nn

from ood.data.images import to_unit
from ood.detection import classifier as classifiers
from ood.detection.contract import Fitted, Record, Remembered
from ood.errors import InputError
from ood.models.base import Classifier
from ood.training.batches import tensors
from ood.training.device import Compute
from ood.training.run import Inputs, Run


def _record(title: str, authors: str, year: int) -> Record:
    return Record(title, authors, year, None, "pytorch-ood's defaults", "nothing")


RECORDS = {
    "ASH": _record(
        "Extremely Simple Activation Shaping for Out-of-Distribution Detection",
        "Djurisic, Bozanic, Ashok, Liu",
        2023,
    ),
    "DICE": _record(
        "DICE: Leveraging Sparsification for Out-of-Distribution Detection", "Sun, Li", 2022
    ),
    "Entropy": _record("Entropy of the softmax", "no paper", 2022),
    "GEN": _record(
        "GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection",
        "Liu, Lochman, Zach",
        2023,
    ),
    "GMM": _record("A Gaussian for each class", "no paper", 2022),
    "GradNorm": _record(
        "On the Importance of Gradients for Detecting Distributional Shifts in the Wild",
        "Huang, Geng, Li",
        2021,
    ),
    "KLMatching": _record(
        "Scaling Out-of-Distribution Detection for Real-World Settings", "Hendrycks et al.", 2022
    ),
    "LTS": _record(
        "Logit Scaling for Out-of-Distribution Detection", "Djurisic, Liu, Nikolic", 2024
    ),
    "NCI": _record(
        "Detecting Out-of-distribution through the Lens of Neural Collapse", "Liu, Qin", 2025
    ),
    "NNGuide": _record(
        "Nearest Neighbor Guidance for Out-of-Distribution Detection", "Park, Jung, Teoh", 2023
    ),
    "PNML": _record(
        "Single Layer Predictive Normalized Maximum Likelihood for Out-of-Distribution Detection",
        "Bibas, Feder, Hassner",
        2021,
    ),
    "RMD": _record(
        "A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection", "Ren et al.", 2021
    ),
    "ReAct": _record(
        "ReAct: Out-of-distribution Detection With Rectified Activations", "Sun, Guo, Li", 2021
    ),
    "SCALE": _record(
        "Scaling for Training Time and Post-hoc Out-of-distribution Detection Enhancement",
        "Xu, Chen, Franchi, Yao",
        2024,
    ),
    "SHE": _record(
        "Out-of-Distribution Detection based on In-Distribution Data Patterns Memorization with "
        "modern Hopfield Energy",
        "Zhang et al.",
        2023,
    ),
    "VRA": _record(
        "Variational Rectified Activation for Out-of-Distribution Detection", "Xu et al.", 2023
    ),
    "ViM": _record(
        "ViM: Out-Of-Distribution with Virtual-logit Matching", "Wang, Li, Feng, Zhang", 2022
    ),
}


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


def build(settings: dict, last: Last):
    """The detector of the settings, not fitted.

    :param settings: ``detector`` and ``arguments``, those of its constructor
    :raises InputError: if pytorch-ood is not installed, or the arguments are not the detector's
    """
    try:
        from pytorch_ood import detector as theirs
    except ImportError as error:
        raise InputError(
            "the pipeline pytorch_ood needs the package pytorch-ood: pip install pytorch-ood"
        ) from error
    name, arguments = settings["detector"], settings["arguments"]
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


def fit(settings: dict, inputs: Inputs, run: Run) -> Fitted:
    """Keep the hidden values of the ID training images, which the detector is fitted on when it is
    loaded: it holds objects that a model file may not hold.

    :param settings: of ``build``; ``known_images``, how many training images; None for all
    """
    saved, compute = inputs.models["classifier"], run.compute
    content = {"settings": settings, "classifier": saved.content}
    classifier = classifiers.restore(**saved.content).to(compute.device)
    build(settings, Last(classifier, saved.settings["n_classes"]))
    images, labels = tensors(inputs.images.spread(settings["known_images"]))
    with torch.no_grad(), compute.autocast():
        hidden = [
            classifier.hidden(to_unit(batch.to(compute.device))).cpu()
            for batch in images.split(compute.chunk(1000))
        ]
    content |= {"hidden": torch.cat(hidden).float(), "labels": labels}
    return Fitted(content, RECORDS[settings["detector"]], saved.parameters)


class Theirs:
    """One of pytorch-ood's detectors behind the classifier's hidden layer."""

    def __init__(self, detector, classifier: Classifier, last: Last):
        self.detector, self.classifier, self.last = detector, classifier, last

    def score(self, images: Tensor) -> Tensor:
        hidden = self.classifier.hidden(images).float()
        with torch.autocast(images.device.type, enabled=False):
            return self.detector.predict(hidden).double()

    def predict(self, images: Tensor) -> Tensor:
        return self.last(self.classifier.hidden(images)).argmax(1)


def restore(settings: dict, state: dict[str, Tensor], compute: Compute) -> Classifier:
    """The classifier, whose extractor remembers its last batch."""
    classifier = classifiers.restore(settings, state).to(compute.device)
    classifier.features = Remembered(classifier.features)
    return classifier


def load(content: dict, compute: Compute) -> Theirs:
    """The detector of ``fit``, fitted."""
    classifier = compute.shared(restore, content["classifier"])
    last = Last(classifier, content["classifier"]["settings"]["n_classes"]).to(compute.device)
    detector = build(content["settings"], last).to(compute.device)
    if detector.requires_fit:
        known = torch.utils.data.TensorDataset(content["hidden"], content["labels"])
        detector.fit(torch.utils.data.DataLoader(known, batch_size=1000))
    return Theirs(detector, classifier, last)
