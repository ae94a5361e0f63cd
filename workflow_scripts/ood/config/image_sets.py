"""The image sets that a benchmark's file names."""

from dataclasses import dataclass
from pathlib import Path

from ood.config.contents import IDSet, OODEntry
from ood.config.recipes import as_name
from ood.data import user_images
from ood.data.registry import ID_NOISES, NOISES, REGISTRY, Dataset
from ood.errors import InputError
from ood.settings.base import nearest


@dataclass(frozen=True)
class OODSet:
    """One OOD set of a benchmark: some or all classes of a dataset's test split.

    :param generated_by: the model that draws the images, anew for each seed; None for a dataset of
        the registry
    """

    name: str
    dataset: str
    classes: tuple[int, ...] | None
    group: str
    stand_in_for: str | None = None
    generated_by: str | None = None


class ImageSets:
    """The registry, and the user's own images that one file names.

    :param source: the file, for errors
    :ivar user_images: what the file says of them, by name
    """

    def __init__(self, stand_ins: dict[str, str], exclude: list[str], source: str):
        self.stand_ins, self.exclude, self.source = stand_ins, exclude, source
        self.datasets: dict[str, Dataset] = dict(REGISTRY)
        self.user_images: dict[str, dict] = {}

    def id_set(self, entry: IDSet) -> tuple[str, str, tuple[int, ...]]:
        """The dataset that is named, the one that is taken, and the ID classes."""
        named = self._named(entry, "id", {"known": True})
        dataset = self._stand_in(named, "id.dataset")
        if missing := {"train", "test"} - set(self.datasets[dataset].splits):
            raise InputError(
                f"{self.source}: id.dataset: {dataset} has no "
                f"{' and no '.join(sorted(missing))} split"
            )
        classes = self._classes(dataset, entry.classes, "id.classes")
        if classes is None:
            raise InputError(f"{self.source}: id.classes: name the ID classes of {dataset}")
        return named, dataset, classes

    def ood_set(
        self, entry: OODEntry, group: str, generators: list[str], key: str
    ) -> OODSet | None:
        """An OOD set; None if the config excludes it.

        :param generators: models that draw images
        :param key: where the entry stands in the file, for errors
        """
        if entry.generated_by:
            return self._generated(entry, group, generators, key)
        named = self._named(entry, key, {})
        dataset = self._stand_in(named, key)
        name = entry.name or dataset
        if {named, dataset, name} & set(self.exclude):
            return None
        if "test" not in self.datasets[dataset].splits:
            raise InputError(f"{self.source}: {key}: {dataset} has no test split")
        classes = self._classes(dataset, entry.classes, f"{key}.classes")
        return OODSet(name, dataset, classes, group, named if dataset != named else None)

    def share_a_folder(self, *names: str) -> bool:
        """Whether two sets are own images of the same folder."""
        first, second = (self.user_images.get(name, {}).get("folder") for name in names)
        return first is not None and first == second

    def _generated(self, entry: OODEntry, group: str, generators: list[str], key: str) -> OODSet:
        model = entry.generated_by
        if model not in generators:
            raise InputError(
                f"{self.source}: {key}.generated_by: no model {model!r} that generates images"
                f"{nearest(model, generators)}"
            )
        classes = None if entry.classes is None else tuple(entry.classes)
        dataset = f"generated_by_{model}"
        return OODSet(entry.name or dataset, dataset, classes, group, None, model)

    def _named(self, entry: IDSet | OODEntry, key: str, more: dict) -> str:
        """The dataset that an entry names, or the name of its own images."""
        if entry.dataset is not None:
            return entry.dataset
        about = entry.plain() | more
        name = entry.name or as_name(Path(about.get("folder", "own")).name).strip("_")
        about = {part: value for part, value in about.items() if part not in ("name", "classes")}
        if name in self.datasets and self.user_images.get(name) != about:
            raise InputError(
                f"{self.source}: {key}: the name {name!r} is taken; give it another 'name'"
            )
        try:
            found = user_images.read(about)
        except InputError as error:
            raise InputError(f"{self.source}: {key}: {error}") from error
        self.user_images[name] = about
        self.datasets[name] = Dataset(
            title=f"own images, {about.get('folder') or about['root']}",
            shape=None,
            licence="the user's",
            citation="",
            splits=dict.fromkeys(found.splits, ((), None)),
            classes=found.classes,
        )
        return name

    def _stand_in(self, name: str, key: str) -> str:
        known_dataset(self.datasets, name, self.source, key)
        return self.stand_ins.get(name, name)

    def _classes(
        self, dataset: str, classes: list[int] | str | None, key: str
    ) -> tuple[int, ...] | None:
        if classes == "others":
            raise InputError(f"{self.source}: {key}: 'others' needs a 'split' of the ID classes")
        names = self.datasets[dataset].classes
        known = None if names is None else tuple(range(len(names)))
        if classes is None:
            return known
        if known is not None and (unknown := set(classes) - set(known)):
            raise InputError(
                f"{self.source}: {key}: {dataset} has labels 0 to {known[-1]}; no images have "
                f"label {', '.join(map(str, sorted(unknown)))}"
            )
        return tuple(classes)


def known_dataset(datasets: dict[str, Dataset], name: str, source: str, key: str) -> None:
    """:raises InputError: if there is no such dataset"""
    if name not in datasets:
        raise InputError(f"{source}: {key}: unknown dataset {name!r}{nearest(name, datasets)}")


def overlap(one: OODSet, other: OODSet) -> bool:
    """Whether two sets may share images."""
    if one.dataset != other.dataset or one.dataset in (*NOISES, *ID_NOISES):
        return one.dataset == other.dataset
    if one.classes is None or other.classes is None:
        return True
    return bool(set(one.classes) & set(other.classes))
