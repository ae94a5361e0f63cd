"""The cheap baselines (``ood.methods.baselines``)."""

from typing import Annotated, ClassVar, Literal

from ood.settings.base import (
    Count,
    MethodSettings,
    NamesModel,
    NotNegative,
    Positive,
    Record,
    Where,
)

OF_A_CLASSIFIER = ("msp", "max_logit", "energy", "odin", "mahalanobis", "knn")


class Baselines(MethodSettings):
    """A score of a plain classifier, or of the pixels alone."""

    shares: ClassVar[str | None] = "classifier"

    pipeline: Literal["baselines"]
    """Cheap baselines."""
    score: Literal[
        "msp", "max_logit", "energy", "odin", "mahalanobis", "knn", "brightness", "complexity"
    ]
    """Which baseline."""
    classifier: Annotated[
        str | None, Where("score", *OF_A_CLASSIFIER), NamesModel("classifier")
    ] = None
    """The classifier that is scored with."""
    temperature: Annotated[Positive | None, Where("score", "odin")] = None
    """Temperature of the softmax (T)."""
    epsilon: Annotated[NotNegative | None, Where("score", "odin")] = None
    """Input step, in units of [0, 1] pixels (epsilon)."""
    ridge: Annotated[Positive | None, Where("score", "mahalanobis")] = None
    """Added to the covariance's diagonal, as a share of the mean variance."""
    k: Annotated[Count | None, Where("score", "knn")] = None
    """The neighbour whose distance counts."""

    @property
    def predicts(self) -> bool:
        return self.classifier is not None

    @property
    def fitted(self) -> bool:
        return self.score in ("mahalanobis", "knn")

    @property
    def record(self) -> Record:
        return RECORDS[self.score]


RECORDS = {
    "msp": Record(
        "A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural "
        "Networks",
        "Hendrycks, Gimpel",
        2017,
        "1610.02136",
        "the paper",
        "nothing",
    ),
    "max_logit": Record(
        "Scaling Out-of-Distribution Detection for Real-World Settings",
        "Hendrycks, Basart, Mazeika, Zou, Kwon, Mostajabi, Steinhardt, Song",
        2022,
        "1911.11132",
        "the paper",
        "nothing",
    ),
    "energy": Record(
        "Energy-based Out-of-distribution Detection",
        "Liu, Wang, Owens, Li",
        2020,
        "2010.03759",
        "the paper, T = 1, no fine-tuning",
        "nothing",
    ),
    "odin": Record(
        "Enhancing The Reliability of Out-of-distribution Image Detection in Neural Networks",
        "Liang, Li, Srikant",
        2018,
        "1706.02690",
        "the paper, T = 1000, epsilon = .0014",
        "nothing",
    ),
    "mahalanobis": Record(
        "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial "
        "Attacks",
        "Lee, Lee, Lee, Shin",
        2018,
        "1807.03888",
        "the paper, last hidden layer, no input perturbation",
        "nothing",
    ),
    "knn": Record(
        "Out-of-Distribution Detection with Deep Nearest Neighbors",
        "Sun, Ming, Zhu, Li",
        2022,
        "2204.06507",
        "the paper, k = 50",
        "nothing",
    ),
    "brightness": Record("Mean brightness", "–", 0, None, "–", "nothing"),
    "complexity": Record(
        "Input complexity and out-of-distribution detection with likelihood-based generative "
        "models",
        "Serrà, Álvarez, Gómez, Slizovskaia, Núñez, Luque",
        2020,
        "1909.11480",
        "the compressed size alone",
        "nothing",
    ),
}
