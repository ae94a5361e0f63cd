"""How long a model is trained, and by which optimizer."""

from typing import Annotated, Literal

from pydantic import Field

from ood.settings.base import Count, NotNegative, Part, Positive, Probability, Settings, Share

Betas = Annotated[list[Share], Field(min_length=2, max_length=2)]


class Drops(Settings):
    """Steps down of the learning rate."""

    at: Annotated[list[Part], Field(min_length=1)]
    """When, as shares of all steps."""
    factor: Part
    """What the learning rate is multiplied by, each time."""


class Warmup(Settings):
    """A straight line up to the learning rate."""

    start: Probability
    """Where it begins, as a share of the learning rate."""
    share: Part
    """How long it lasts, as a share of all steps."""


class Schedule(Settings):
    """The learning rate over the steps."""

    learning_rate: Positive
    """The learning rate that the schedule below multiplies."""
    decay: Annotated[float, Field(gt=0, le=1)] | None = None
    """Factor on the learning rate after each step."""
    drops: Drops | None = None
    """Steps down of the learning rate."""
    warmup: Warmup | None = None
    """A straight line up to the learning rate, at the start."""
    cosine: bool | None = None
    """Whether the learning rate falls along half a cosine, as long as all steps."""
    linear: Share | None = None
    """The learning rate falls in a straight line, after the warm-up, to so many times itself."""


class Adam(Schedule):
    """torch.optim.Adam."""

    name: Literal["adam"]
    """Adam."""
    betas: Betas | None = None
    """Memories of the gradient and of its square."""
    eps: Positive | None = None
    """Added to the root of the squares' mean."""
    weight_decay: NotNegative | None = None
    """L2 penalty, added to the gradient."""


class RMSprop(Schedule):
    """torch.optim.RMSprop."""

    name: Literal["rmsprop"]
    """RMSprop."""
    alpha: Share
    """Memory of the squared gradient."""
    eps: Positive
    """Added to the root of the squares' mean."""
    momentum: Share | None = None
    """Memory of the steps."""
    weight_decay: NotNegative | None = None
    """L2 penalty, added to the gradient."""


class Adadelta(Schedule):
    """torch.optim.Adadelta."""

    name: Literal["adadelta"]
    """Adadelta."""
    rho: Share
    """Memory of the squared gradient and of the squared steps."""
    eps: Positive | None = None
    """Added to the means of squares."""
    weight_decay: NotNegative
    """L2 penalty, added to the gradient."""


class SGD(Schedule):
    """torch.optim.SGD."""

    name: Literal["sgd"]
    """Stochastic gradient descent."""
    momentum: Share
    """Memory of the steps."""
    nesterov: bool
    """Whether the gradient is taken ahead of the step."""
    weight_decay: NotNegative
    """L2 penalty, added to the gradient."""


class LARS(Schedule):
    """``ood.training.optimizers.LARS``."""

    name: Literal["lars"]
    """Layer-wise adaptive rates, arXiv 1708.03888."""
    trust: Positive
    """How long a layer's step is beside its weights."""
    momentum: Share
    """Memory of the steps."""
    weight_decay: NotNegative
    """L2 penalty, added to the gradient."""
    eps: Positive | None = None
    """Added to the gradient's length."""


Optimizer = Annotated[Adam | RMSprop | Adadelta | SGD | LARS, Field(discriminator="name")]


class Epochs(Settings):
    """A training that is counted in passes over the images."""

    epochs: Count
    """Passes over the training images."""
    optimizer: Optimizer
    """The optimizer and its learning rate."""


class Steps(Settings):
    """A training that is counted in steps."""

    steps: Count
    """Steps of training."""
    evaluate_every: Count
    """Steps between two evaluations on the held-out images."""
    batch_size: Count
    """Images of a step."""
    optimizer: Optimizer
    """The optimizer and its learning rate."""


class BatchedEpochs(Epochs):
    """The same, in batches of one size."""

    batch_size: Count
    """ID images of a step."""
