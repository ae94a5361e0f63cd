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

from ood.config.benchmarks import Loader, load_yaml
from ood.detection.contract import Record
from support.plan import Plan

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow_scripts"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FLOORS = [
    ["errors", "interruption", "registry"],
    ["files"],
    ["own"],
    ["config", "images", "lineage", "metrics", "scores"],
    ["provenance", "origins"],
    ["decode", "tables", "plots"],
    ["overview", "reference", "studies"],
    ["download", "models", "augmentations"],
    ["training"],
    ["class_gaussians", "classifier", "detector"],
    ["methods"],
    ["detector_files"],
    ["inference"],
]


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
    # models may use each other: a VAE's encoder is a ResNet; and so may augmentations
    assert set(imports(path)) <= below | {name} & {"models", "augmentations", "training"}


def test_the_rooms_of_training_import_in_one_direction():
    order = ["device", "model_files", "run", "optimizers", "batches", "validation"]
    order += ["checkpoint", "loop"]
    folder = SCRIPTS / "ood/training"
    assert {path.stem for path in folder.glob("*.py")} == {"__init__", *order}
    for number, name in enumerate(order):
        text = (folder / f"{name}.py").read_text()
        assert set(re.findall(r"from ood\.training\.(\w+)", text)) <= set(order[:number])


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
    loader = Loader(ROOT, load_yaml(ROOT / "config.yaml"))
    methods = set(loader.benchmarks()["digits"].methods)
    shared = ["train", "fit", "generate", "score", "evaluate", "fitting", "pictures", "plan"]
    shared += ["tables/gather", "tables/compare", "ood/tables", "ood/plots", "ood/provenance"]
    # words of the field that a picture of theirs may use
    methods -= {"likelihood"}
    for name in shared:
        assert not words(SCRIPTS / f"{name}.py") & methods, name


def test_a_new_method_adds_files_and_changes_two(tmp_path):
    """Its module, rules, schema and settings; the Snakefile has one line more, and benchmarks of
    the family get it."""
    for folder in ("schemas", "benchmarks"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / "schemas/methods/entropy.yaml").write_text(
        "method: {type: object, additionalProperties: false, required: [pipeline, classifier],"
        " predicts: true, fitted: false, properties: {pipeline: {const: entropy},"
        " classifier: {type: string, model_type: classifier}}}"
    )
    (tmp_path / "benchmarks/recipes/digits/entropy.yaml").write_text(
        "methods: {entropy: {pipeline: entropy, classifier: classifier}}"
    )
    loader = Loader(tmp_path, load_yaml(ROOT / "config.yaml"))
    benchmarks = loader.benchmarks()
    assert "entropy" in benchmarks["digits"].methods
    assert loader.modules["methods"]["entropy"] == "ood.methods.entropy"
    plan = Plan(loader, benchmarks, SCRIPTS)
    assert ("digits", "entropy", ["entropy"], "") in plan.scoring_jobs()
    assert "results/quick/digits/seed0/metrics/entropy/uniform.json" in plan.metrics()
    assert all(path.read_bytes() == content for path, content in before.items())


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
    for name, settings in Loader(ROOT, config).benchmarks()["digits"].methods.items():
        module = importlib.import_module(f"ood.methods.{settings['pipeline']}")
        record = module.RECORDS[settings["score"]] if "RECORDS" in vars(module) else module.RECORD
        assert isinstance(record, Record)
        assert f"`{name}`" in readme
        assert record.title in readme


@pytest.mark.parametrize("name", PIPELINES)
def test_a_method_offers_the_contract(name):
    module = importlib.import_module(f"ood.methods.{name}")
    schema = load_yaml(ROOT / "schemas" / "methods" / f"{name}.yaml")
    assert set(getattr(module, "MODELS", {})) == set(schema.get("models", {}))
    given = schema["method"].get("provides", [])
    given += [
        one for model in schema.get("models", {}).values() for one in model.get("provides", [])
    ]
    assert callable(module.fit)
    assert callable(module.load)
    assert hasattr(module, "at_snapshot") == ("snapshots" in schema["method"].get("provides", []))
    assert hasattr(module, "generate") == ("pseudo_ood" in given)


def test_the_repository_speaks_of_itself_alone():
    names = ["/" + "work/", "/" + "tmp/", "/" + "farm/", ".." + "/shared"]
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if parts[0] in {".git", ".venv", ".snakemake", "data", "results"} or not path.is_file():
            continue
        if path.suffix in {".py", ".smk", ".yaml", ".md", ".toml", ".rst", ".cff"}:
            text = path.read_text()
            assert not any(name in text for name in names), path
