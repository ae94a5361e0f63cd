"""The repository's own promises: pins, published numbers, imports, records."""

import ast
import importlib
import re
import shutil
import tokenize
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import yaml
from packaging.requirements import Requirement

from ood import settings
from ood.config.benchmarks import Loader
from ood.config.contents import BenchmarkFile, Config, IDSet, OODEntry
from ood.config.kinds import KINDS, kinds, module_of, settings_of
from ood.config.yaml_files import load_yaml
from ood.reports.reference import descriptions, inner_settings
from ood.settings.base import Record
from support.jobs import Jobs
from support.plan import Plan

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow_scripts"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# rooms of the library: each imports only from those above it, and within itself
FLOORS = [
    ["errors", "interruption"],
    ["files"],
    ["layout", "provenance", "settings"],
    ["data"],
    ["config"],
    ["evaluation"],
    ["reports"],
    ["models", "augmentations"],
    ["training"],
    ["detection"],
    ["methods"],
    ["inference"],
]
# within a room, too: its modules in the order in which they may import each other
ROOMS = {
    "config": "yaml_files checks kinds contents recipes variants image_sets graph benchmarks "
    "origins",
    "data": "dataset registry user_images images noise decode given download",
    "detection": "contract class_gaussians logit_scores classifier files",
    "evaluation": "scores metrics ranks open_set made_from tables leaderboard",
    "reports": "figures plots rank_plot image_plots overview studies claims reference",
    "settings": "base training class_gaussians classifiers gaussians baselines cmg csi leave_out "
    "likelihood_ratio oodgen pytorch_ood vmdls",
    "training": "lars graphs device health model_files run optimizers batches validation "
    "checkpoint loop",
}


def pins(lines):
    found = {}
    for line in lines:
        requirement = Requirement(line.strip())
        found[requirement.name.lower()] = str(requirement.specifier).removeprefix("==")
    return found


LOCK = pins(
    line
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if line and not line.startswith(("#", " "))
)
ENVIRONMENT = yaml.safe_load((ROOT / "envs" / "environment.yaml").read_text())


def direct():
    groups = PROJECT["project"]["dependencies"], PROJECT["dependency-groups"]["dev"]
    return [Requirement(line) for group in groups for line in group]


@pytest.mark.parametrize("requirement", direct(), ids=lambda r: r.name)
def test_the_lock_file_pins_every_direct_dependency_within_its_range(requirement):
    assert requirement.specifier.contains(LOCK[requirement.name])


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lock_file_pins_every_package_once(python):
    requirements = [
        Requirement(line) for line in (ROOT / "requirements.lock").read_text().splitlines()
    ]
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    names = [r.name for r in requirements if not r.marker or r.marker.evaluate(environment)]
    assert len(names) == len(set(names)) > 80
    assert all(str(r.specifier).startswith("==") for r in requirements)


def test_the_conda_environment_agrees_with_the_lock_file():
    wanted = pins(next(d for d in ENVIRONMENT["dependencies"] if isinstance(d, dict))["pip"])
    assert wanted == {name: LOCK[name] for name in wanted}
    imported = {"torch", "torchvision", "numpy", "pandas", "pyarrow", "scikit-learn", "matplotlib"}
    imported |= {"pillow", "filelock", "itables", "pytorch-ood", "timm", "safetensors"}
    imported |= {"scikit-posthocs"}
    assert imported == set(wanted)
    python = next(d for d in ENVIRONMENT["dependencies"] if str(d).startswith("python="))
    assert Requirement(f"x{PROJECT['project']['requires-python']}").specifier.contains(
        python.removeprefix("python=")
    )


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "ood":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ood."):
            yield node.module.split(".")[1]


@pytest.mark.parametrize(
    "path", sorted((SCRIPTS / "ood").rglob("*.py")), ids=lambda p: str(p.relative_to(SCRIPTS))
)
def test_modules_import_from_lower_floors_only(path):
    name = path.relative_to(SCRIPTS / "ood").with_suffix("").parts[0]
    if name in ("__init__", "__main__"):
        return
    floor = next(i for i, names in enumerate(FLOORS) if name in names)
    below = {one for names in FLOORS[:floor] for one in names}
    assert set(imports(path)) <= below | {name}


@pytest.mark.parametrize("room", ROOMS)
def test_the_modules_of_a_room_import_in_one_direction(room):
    folder, order = SCRIPTS / "ood" / room, ROOMS[room].split()
    assert {path.stem for path in folder.glob("*.py")} == {"__init__", *order}
    for number, name in enumerate(order):
        text = (folder / f"{name}.py").read_text()
        found = set(re.findall(rf"from ood\.{room}\.(\w+)", text))
        found |= set(re.findall(rf"from ood\.{room} import (\w+)", text))
        assert found <= set(order[:number]), name


def test_the_library_does_not_know_snakemake():
    for path in (SCRIPTS / "ood").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) snakemake", path.read_text(), re.M), path


def words(path):
    """Identifiers of a source file, the parts of imported modules, and its short strings, whole."""
    found = set()
    with open(path, "rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.NAME:
                found.add(token.string)
            elif token.type == tokenize.STRING and len(token.string) < 60:
                found.add(token.string.strip("\"'"))
    return found


PIPELINES = [path.stem for path in (SCRIPTS / "ood/methods").glob("[a-z]*.py")]


def owned(name):
    """The files of a method: its module, its rules, and the pictures that these add."""
    rules = (ROOT / "rules" / f"{name}.smk").read_text()
    return {name, *re.findall(r'PICTURES\["(\w+)"\]', rules)}


@pytest.mark.parametrize("name", PIPELINES)
def test_only_its_own_files_name_a_method(name):
    for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk"), *SCRIPTS.rglob("*.py")]:
        if path.stem not in owned(name):
            assert name not in words(path), path


def test_what_all_methods_share_names_none():
    methods = set(Loader(ROOT, load_yaml(ROOT / "config.yaml")).benchmarks()["digits"].methods)
    shared = [*(SCRIPTS / "support").glob("*.py"), *(SCRIPTS / "models").glob("*.py")]
    shared += [*(SCRIPTS / "evaluation").glob("*.py"), *(SCRIPTS / "tables").glob("*.py")]
    shared += [*(SCRIPTS / "ood/evaluation").glob("*.py"), *(SCRIPTS / "ood/reports").glob("*.py")]
    # words of the field that a picture of theirs may use
    methods -= {"likelihood"}
    for path in shared:
        assert not words(path) & methods, path


def test_a_new_method_adds_files_and_changes_none(tmp_path, monkeypatch):
    """Its module, rules, settings and values; the Snakefile has one line more, and benchmarks of
    the family get it."""
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks")
    (tmp_path / "more_settings").mkdir()
    (tmp_path / "more_settings/entropy.py").write_text(
        "from typing import Annotated, Literal\n"
        "from ood.settings.base import MethodSettings, NamesModel\n"
        "class Entropy(MethodSettings):\n"
        "    pipeline: Literal['entropy']\n"
        "    classifier: Annotated[str, NamesModel('classifier')]\n"
        "    fitted = property(lambda self: False)\n"
        "    record = property(lambda self: None)\n"
    )
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / "benchmarks/recipes/digits/entropy.yaml").write_text(
        "methods: {entropy: {pipeline: entropy, classifier: classifier}}"
    )
    monkeypatch.setattr(settings, "__path__", [*settings.__path__, str(tmp_path / "more_settings")])
    for cached in (kinds, module_of):
        cached.cache_clear()
    try:
        jobs = Jobs(Plan(Loader(tmp_path, load_yaml(ROOT / "config.yaml"))))
        assert module_of("methods", "entropy") == "ood.methods.entropy"
        assert ("digits", "entropy", ["entropy"], "") in jobs.scoring()
        assert "results/quick/digits/seed0/metrics/entropy/uniform.json" in jobs.metrics()
        assert all(path.read_bytes() == content for path, content in before.items())
    finally:
        for cached in (kinds, module_of):
            cached.cache_clear()


def test_published_numbers_name_known_benchmarks_and_sets():
    config = load_yaml(ROOT / "config.yaml")
    table = pd.read_csv(ROOT / "benchmarks" / "published.csv")
    config["benchmarks"] = sorted(set(table["benchmark"]))
    benchmarks = Loader(ROOT, config).benchmarks()
    for row in table.itertuples():
        benchmark = benchmarks[row.benchmark]
        assert row.ood_set in benchmark.ood
        assert row.method in benchmark.methods
        assert pd.isna(row.published) or 0 <= row.published <= 1
        checked = {"verified", "recalled from memory", "quoted at second hand", "not established"}
        assert row.confidence in checked
        assert pd.isna(row.published) == (row.confidence == "not established")


def test_every_method_has_a_record_and_a_line_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    config = load_yaml(ROOT / "config.yaml")
    for name, plain in Loader(ROOT, config).benchmarks()["digits"].methods.items():
        record = settings_of("methods", plain).record
        assert isinstance(record, Record)
        assert f"`{name}`" in readme
        # of a control the title says more
        assert record.title.partition(", of an")[0] in readme


@pytest.mark.parametrize("name", PIPELINES)
def test_a_method_offers_the_contract(name):
    module = importlib.import_module(f"ood.methods.{name}")
    models = {
        kind: one
        for kind, one in kinds("models").items()
        if module_of("models", kind).endswith(name)
    }
    assert set(getattr(module, "MODELS", {})) == set(getattr(module, "NETWORKS", {})) == set(models)
    method = kinds("methods")[name]
    given = method.provides.union(*(one.provides for one in models.values()))
    assert callable(module.fit)
    assert callable(module.load)
    assert hasattr(module, "at_snapshot") == ("snapshots" in method.provides)
    assert hasattr(module, "generate") == ("pseudo_ood" in given)
    assert hasattr(module, "GENERATED_FROM") == ("pseudo_ood" in given)


@pytest.mark.parametrize("section", KINDS)
def test_every_setting_says_what_it_does(section):
    """In one line, below the field; also of what lies within a setting."""
    waiting, seen = list(kinds(section).values()), []
    while waiting:
        kind = waiting.pop()
        seen.append(kind)
        says = descriptions(kind)
        for name, field in kind.model_fields.items():
            assert says.get(name, "").endswith("."), f"{kind.__name__}.{name}"
            assert len(says[name]) <= 100
            waiting += [one for one in inner_settings(field.annotation) if one not in seen]
    assert len(seen) > 10


def test_every_key_of_the_config_and_of_a_benchmark_is_explained():
    comments = re.findall(r"^(?:#.*\n)+(\w+):", (ROOT / "config.yaml").read_text(), re.M)
    assert list(Config.model_fields) == comments
    for kind in (BenchmarkFile, IDSet, OODEntry):
        assert set(descriptions(kind)) == set(kind.model_fields)


def test_the_repository_speaks_of_itself_alone():
    names = ["/" + "work/", "/" + "tmp/", "/" + "farm/", ".." + "/shared"]
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if parts[0] in {".git", ".venv", ".snakemake", "data", "results"} or not path.is_file():
            continue
        if path.suffix in {".py", ".smk", ".yaml", ".md", ".toml", ".rst", ".cff"}:
            text = path.read_text()
            assert not any(name in text for name in names), path
