"""What a source file means, and what it imports."""

import ast
from pathlib import Path

import pytest

from ood import provenance

SOURCE = '''"""A module."""

from package.other import thing


class Settings:
    width: int
    """What it is."""


def double(x):
    """Twice x."""
    # by addition
    return x + x
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "other.py").write_text("thing = 1\n")
    (tmp_path / "package" / "apart.py").write_text("far = 1\n")

    def codes(source=SOURCE, **others):
        for cached in (provenance._parsed, provenance._imported, provenance._closure):
            cached.cache_clear()
        (tmp_path / "script.py").write_text(source)
        for name, text in others.items():
            (tmp_path / "package" / f"{name}.py").write_text(text)
        return provenance.code(tmp_path, "script.py")

    return codes


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# by addition", "# by adding x to itself"),
        ('"""Twice x."""', '"""x and x again."""'),
        ('"""What it is."""', '"""What it does."""'),
        ('"""A module."""', '"""The module."""'),
        ("return x + x", "return (\n        x\n        + x\n    )"),
        ("\n\n\ndef", "\ndef"),
    ],
    ids=[
        "comment",
        "docstring",
        "docstring of a field",
        "module docstring",
        "layout",
        "blank lines",
    ],
)
def test_what_a_reader_alone_sees_changes_nothing(folder, old, new):
    before = folder()
    assert SOURCE.count(old) == 1
    assert folder(SOURCE.replace(old, new)) == before


def test_meaning_and_imports_count(folder):
    before = folder()
    assert set(before) == {"script.py", "package/other.py"}
    assert folder(SOURCE.replace("x + x", "2 * x")) != before
    after = folder(other="thing = 2\n")
    assert after["script.py"] == before["script.py"]
    assert after["package/other.py"] != before["package/other.py"]
    assert folder(other="thing = 1\n", apart="far = 2\n") == before


def test_a_string_that_is_no_docstring_counts(folder):
    first = folder("value = 'a'\n")
    assert folder("value = 'b'\n") != first


def test_a_newer_python_s_empty_fields_change_nothing(folder, monkeypatch):
    """As the type parameters that Python 3.12 gave each class and function."""
    before = folder()
    for kind in (ast.ClassDef, ast.FunctionDef):
        monkeypatch.setattr(kind, "_fields", (*kind._fields, "type_params"))
        monkeypatch.setattr(kind, "type_params", [], raising=False)
    assert folder() == before


def test_a_package_s_own_file_counts_for_all_its_parts(folder, tmp_path):
    (tmp_path / "package" / "__init__.py").write_text("")
    assert set(folder()) == {"script.py", "package/__init__.py", "package/other.py"}


def test_an_import_by_name_is_not_followed(folder):
    """It is for those who ask for it, as ``ood.load`` is."""
    source = (
        "import importlib\n\n\ndef load():\n    return importlib.import_module('package.apart')\n"
    )
    assert set(folder(source)) == {"script.py"}


SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
# what every job needs; then, by script, what else of the library its outputs follow from. What
# settings choose by name (methods, nets, augmentations) is counted apart
EVERY_JOB = "__init__ errors files interruption provenance"
IMAGES = "data/__init__ data/images"
TYPED = "config/__init__ config/kinds settings/__init__ settings/base"
RUNS = f"{IMAGES} {TYPED} training/__init__ training/device training/model_files training/run"
SCORES = "evaluation/__init__ evaluation/scores"
METRICS = f"{SCORES} evaluation/metrics"
FIGURES = "reports/__init__ reports/figures"
CURVES = f"{FIGURES} reports/plots"
PICTURES = f"{FIGURES} reports/image_plots"
CONFIG = f"{TYPED} data/__init__ data/registry data/dataset data/user_images " + " ".join(
    f"config/{name}"
    for name in ("benchmarks checks contents graph image_sets recipes variants yaml_files".split())
)
TABLES = f"{CONFIG} evaluation/__init__ evaluation/metrics evaluation/made_from evaluation/tables"
LIBRARY = {
    "data/download.py": f"{IMAGES} data/decode data/download data/registry data/dataset",
    "data/generate_noise.py": f"{IMAGES} data/noise",
    "data/prepare.py": f"{IMAGES} data/decode",
    "data/prepare_user_images.py": f"{IMAGES} data/decode data/user_images",
    "models/train.py": f"{RUNS} training/health",
    "models/fit.py": RUNS,
    "models/generate.py": f"{RUNS} {PICTURES}",
    "evaluation/score.py": f"{RUNS} {SCORES} detection/__init__ detection/contract detection/files",
    "evaluation/evaluate.py": f"{METRICS} evaluation/open_set",
    "tables/compare.py": METRICS,
    "tables/gather.py": f"{TABLES} evaluation/leaderboard evaluation/ranks"
    " reports/__init__ reports/overview",
    "tables/rank.py": METRICS,
    "tables/record.py": f"{TABLES} reports/__init__ reports/studies",
    "tables/book.py": f"{TABLES} reports/__init__ reports/claims reports/studies",
    "tables/reference.py": f"{TABLES} reports/__init__ reports/reference",
    "plots/calibration.py": f"{SCORES} {CURVES}",
    "plots/curves.py": f"{SCORES} {CURVES}",
    "plots/extremes.py": f"{IMAGES} {SCORES} {PICTURES}",
    "plots/f1.py": f"{METRICS} evaluation/open_set {CURVES}",
    "plots/heatmap.py": f"{SCORES} {CURVES}",
    "plots/histograms.py": f"{METRICS} {CURVES}",
    "plots/image_sets.py": f"{IMAGES} {PICTURES}",
    "plots/ranks.py": f"{SCORES} evaluation/ranks reports/__init__ reports/figures"
    " reports/rank_plot",
    "plots/roc.py": f"{METRICS} {CURVES}",
    "plots/temperatures.py": f"{METRICS} {CURVES}",
    "plots/trajectory.py": f"{METRICS} {CURVES}",
}
# of one method's pictures: that method and its nets too
ONE_METHOD_S = {
    "plots/interpolations.py": "oodgen",
    "plots/pixel_maps.py": "likelihood_ratio",
    "plots/reconstructions.py": "vmdls",
    "plots/samples.py": "likelihood_ratio",
    "plots/vmdls_latents.py": "vmdls",
}


def library(script):
    files = provenance.code(SCRIPTS, script)
    found = {Path(name) for name in files if name.startswith("ood/")}
    return {str(path.relative_to("ood").with_suffix("")) for path in found}


@pytest.mark.parametrize("script", LIBRARY)
def test_a_script_s_code_is_what_it_needs(script):
    assert library(script) == {*EVERY_JOB.split(), *LIBRARY[script].split()}


@pytest.mark.parametrize("script", ONE_METHOD_S)
def test_a_method_s_picture_needs_one_method(script):
    found = {name for name in library(script) if name.startswith("methods/")}
    assert found == {"methods/__init__", f"methods/{ONE_METHOD_S[script]}"}
    assert "detection/files" not in library(script)


def test_every_script_is_pinned():
    scripts = {
        str(path.relative_to(SCRIPTS))
        for path in SCRIPTS.rglob("*.py")
        if "with job(snakemake" in path.read_text() and path.parent.name != "support"
    }
    assert scripts == {*LIBRARY, *ONE_METHOD_S}


def test_nothing_that_the_workflow_runs_needs_what_serves_users_alone():
    for script in (*LIBRARY, *ONE_METHOD_S):
        assert not {"inference", "__main__"} & library(script)
