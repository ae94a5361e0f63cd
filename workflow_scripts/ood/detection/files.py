"""The detectors of a method, from the files that its jobs have left."""

import importlib
from dataclasses import asdict, replace
from pathlib import Path

from ood.config.kinds import settings_of
from ood.detection.contract import Detector
from ood.errors import InputError
from ood.files import checksum, load_json
from ood.layout import Seed
from ood.training.device import Compute
from ood.training.model_files import TrainedModel, load_model
from ood.training.run import Inputs, Run


def restore(
    seed: Seed, method: str, about: dict, compute: Compute, suffix: str = "", oracle: bool = False
) -> tuple[dict[str, Detector], dict]:
    """The detectors of a method, as it is scored.

    :param seed: where they lie
    :param about: ``module``, ``settings``, ``fitted`` (whether a job has fitted it) and ``models``
        (those that its settings name)
    :param suffix: ``.validation`` for the state that validation has chosen
    :param oracle: a detector for each of the snapshots that the oracle protocol chooses from
    :return: by the suffix of their columns in a score file; and ``record``, ``parameters`` and
        ``flags`` of the method
    """
    module, snapshots = importlib.import_module(about["module"]), {}
    if about["fitted"]:
        file = Path(seed.detector(method, f"detector{suffix}.pt"))
        content, known = load_model(file), load_json(file.with_suffix(".json"))
        if known["settings"] != about["settings"] or known["detector"] != checksum(file):
            raise InputError(
                f"{file}: not the detector of {method}'s settings; delete {file.parent} and run "
                "again"
            )
        if oracle:
            snapshots = load_model(seed.detector(method, "snapshots.pt"))
    else:

        def saved(named: str | list[str]):
            if isinstance(named, list):
                return [saved(name) for name in named]
            return TrainedModel(seed.model_folder(named))

        inputs = Inputs(models={key: saved(named) for key, named in about["models"].items()})
        settings, run = settings_of("methods", about["settings"]), Run(0, compute, Path(), "")
        fitted = module.fit(settings, inputs, replace(run, snapshots=oracle))
        content, snapshots = fitted.content, fitted.snapshots
        known = {"record": asdict(fitted.record), "parameters": fitted.parameters}
        known["flags"] = [*fitted.flags, *inputs.flags()]
    detector = module.load(content, compute)
    known = {name: known[name] for name in ("record", "parameters", "flags")}
    if not oracle:
        return {"": detector}, known
    return {f"_{s}": module.at_snapshot(detector, one) for s, one in snapshots.items()}, known
