"""Networks only: no training code, one net per file.

A module with the class ``Features`` is a backbone: the setting ``architecture`` names it, and the
class takes the image's shape and the settings that are its parameters.
"""
