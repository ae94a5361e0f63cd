"""Parameters of jobs: what Snakemake compares, beside the input files, to see what is due."""

from pathlib import Path

from ood.config.graph import marks_behind
from ood.config.image_sets import overlap
from ood.config.kinds import KINDS, edges, module_of, settings_of
from ood.data import user_images
from ood.evaluation.made_from import made_from
from support.plan import Plan


class Params:
    """Of a plan's jobs; ``w`` is a job's wildcards."""

    def __init__(self, plan: Plan, scripts: Path):
        self.plan, self.scripts = plan, scripts

    def stamp(self, w) -> str:
        """Of a split of the user's own images."""
        return user_images.read(self.plan.user_images[w.dataset]).stamp(w.split)

    def class_names(self, w) -> list[str]:
        """Of the ID dataset, in label order."""
        return list(self.plan.of(w).class_names)

    def classes(self, w) -> list[int]:
        return list(self.plan.of(w).classes)

    def validation_set(self, w) -> dict | None:
        """Name and classes (None for all) of the validation OOD set."""
        one = self.plan.of(w).validation
        return one and {"name": one.name, "classes": one.classes and list(one.classes)}

    def edges(self, w) -> dict:
        """The models that settings name."""
        return edges(*self.plan.entry(w))

    def module(self, w) -> str:
        section, settings = self.plan.entry(w)
        return module_of(section, settings[KINDS[section]])

    def keeps_snapshots(self, w) -> bool:
        """Whether to leave what the oracle protocol chooses from; what is costly only if asked."""
        entry = self.plan.entry(w)
        if self.plan.provides(*entry, "costly_snapshots"):
            return "oracle" in self.plan.config.protocols
        return self.plan.provides(*entry, "snapshots")

    def parts(self, w) -> dict:
        """Which images of which dataset are ID, and each OOD set."""
        one = self.plan.of(w)
        known = {"dataset": one.dataset, "classes": list(one.classes)}
        return {"id": known} | {
            name: {"dataset": ood.dataset, "classes": ood.classes and list(ood.classes)}
            for name, ood in one.ood.items()
        }

    def known(self, w) -> dict:
        """What to know of a benchmark's images to score others with its detectors."""
        one, names = self.plan.of(w), self.class_names(w)
        classes = [names[label] for label in one.classes]
        known = {"dataset": one.dataset, "labels": list(one.classes), "classes": classes}
        return known | {"shape": list(one.shape)}

    def pairs(self, w) -> dict:
        """What is to be known of the OOD sets when methods are judged."""
        one = self.plan.of(w)
        return {
            name: {
                "group": ood.group,
                "id_dataset": one.dataset,
                "id_classes": list(one.classes),
                "id_stand_in_for": one.stand_in_for,
                "ood_dataset": ood.dataset,
                "ood_classes": ood.classes and list(ood.classes),
                "ood_stand_in_for": ood.stand_in_for,
                "validation": one.validation and one.validation.name,
                "lists": self._lists(one.dataset, ood.dataset),
                "on_validation_set": bool(one.validation) and overlap(ood, one.validation),
            }
            for name, ood in one.ood.items()
        }

    def _lists(self, *datasets: str) -> list[str]:
        """The lists that tell which images of the user's own are tested on."""
        own = self.plan.user_images
        found = [user_images.list_of(own[name], "test") for name in datasets if name in own]
        return [one for one in found if one]

    def scored(self, benchmark: str, methods: list[str]) -> dict:
        """What is to be known of methods to score with them."""
        chosen = self.plan.benchmarks[benchmark].methods
        return {
            method: {
                "settings": chosen[method],
                "fitted": settings_of("methods", chosen[method]).fitted,
                "module": module_of("methods", chosen[method]["pipeline"]),
                "models": edges("methods", chosen[method]),
            }
            for method in methods
        }

    def test_scores_seen(self, w) -> list[str]:
        """Settings that were chosen when test scores were known."""
        return marks_behind(self.plan.of(w), w.method)

    def made_from(self, benchmark: str, method: str) -> dict:
        return made_from(self.plan.config, self.scripts, self.plan.benchmarks[benchmark], method)
