"""Initial weights that several networks share."""

from torch import nn


def he_normal(network: nn.Module) -> None:
    """He normal (fan-out) for convolutions, linear biases 0; batch norms keep PyTorch's 1 and 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
