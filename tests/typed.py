"""Typed settings for tests that say only what they are about."""

from pydantic import TypeAdapter

from ood.config.kinds import KINDS, kinds, settings_of
from ood.settings.base import Settings
from ood.settings.training import Optimizer, Schedule

ADAM = {"name": "adam", "learning_rate": 1e-3}
# what a test need not say
USUAL = {
    "shape": [8, 8, 1],
    "n_classes": 3,
    "normalization": None,
    "augmentation": "none",
    "epochs": 1,
    "batch_size": 8,
    "optimizer": ADAM,
    "patience": None,
    "validation_share": 0.2,
    "kl_weight": 1.0,
    "snapshot_every": 2,
    "hidden": None,
    "head_dropout": 0,
    "extra_outputs": 0,
    "generation_epoch": 1,
    "known_images": None,
    "classifier": "classifier",
    "cvae": "cvae",
    "vae": "vae",
    "encoder": "encoder",
    "members": ["member"],
    "foreground": "foreground",
    "filters": 4,
    "residual_layers": 1,
    "hierarchies": 1,
    "components": 1,
    "dropout": 0,
    "rescale": True,
    "mutation_rate": 0,
    "l2": 0,
    "validation_images": 5,
}


def complete(kind: str, **given: object) -> dict:
    """Plain settings of a model type or pipeline, with what is ``USUAL`` for the rest."""
    section = next(one for one in KINDS if kind in kinds(one))
    fields = kinds(section)[kind].model_fields
    needed = {name for name, field in fields.items() if field.is_required()}
    plain = {KINDS[section]: kind} | {k: v for k, v in USUAL.items() if k in needed} | given
    settings_of(section, plain)
    return plain


def typed(plain: dict) -> Settings:
    """Of plain settings, those that their ``type`` or ``pipeline`` names."""
    return settings_of("models" if "type" in plain else "methods", plain)


def optimizer(**plain: object) -> Schedule:
    """An optimizer and its learning rate over the steps."""
    return TypeAdapter(Optimizer).validate_python(plain)
