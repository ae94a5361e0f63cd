"""Detectors of pytorch-ood (``ood.methods.pytorch_ood``).

Left out, and why: ODIN and MahalanobisODIN (gradients to the pixels; ``odin`` is here), MCD
(dropout at test time), RankFeat, Gram, NACUE and MultiMahalanobis (maps of inner layers),
TemperatureScaling (held-out images), WeightedEBO (weights of its own training), MCM (a model of
language), OpenMax (its score depends on the batch), GradUncertainty (gradients of the whole net).
"""

from typing import Annotated, Any, ClassVar, Literal

from ood.settings.base import Count, MethodSettings, NamesModel, Record


def _record(title: str, authors: str, year: int) -> Record:
    return Record(title, authors, year, None, "pytorch-ood's defaults")


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


class PytorchOOD(MethodSettings):
    """A detector of pytorch-ood on a classifier's last hidden layer."""

    shares: ClassVar[str | None] = "classifier"

    pipeline: Literal["pytorch_ood"]
    """Detectors of pytorch-ood."""
    detector: Literal[
        "ASH", "DICE", "Entropy", "GEN", "GMM", "GradNorm", "KLMatching", "LTS", "NCI", "NNGuide",
        "PNML", "RMD", "ReAct", "SCALE", "SHE", "VRA", "ViM",
    ]  # fmt: skip
    """The detector's class in pytorch-ood."""
    classifier: Annotated[str, NamesModel("classifier")]
    """The classifier that is scored with."""
    arguments: dict[str, Any]
    """Of the detector's constructor, by its names."""
    known_images: Count | None
    """Training images that it is fitted on, at most; null for all."""

    @property
    def record(self) -> Record:
        return RECORDS[self.detector]
