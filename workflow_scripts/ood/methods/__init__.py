"""One file per published system, under the contract of ``ood.detector``."""
