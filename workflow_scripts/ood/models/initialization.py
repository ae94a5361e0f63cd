"""Initial weights that several networks share."""

from torch import nn


def glorot_uniform(network: nn.Module) -> nn.Module:
    """Glorot uniform for convolutions and linear layers, biases 0, as Keras has it; the network."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    return network


def he_normal(network: nn.Module) -> None:
    """He normal (fan-out) for convolutions, linear biases 0; batch norms keep PyTorch's 1 and 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
