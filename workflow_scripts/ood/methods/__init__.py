"""One file per published system: ``RECORD``s, losses, generation, ``load`` -> Detector."""
