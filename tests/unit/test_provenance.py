"""What a source file means, and what it imports."""

from pathlib import Path

import pytest

from ood import provenance as lineage

SOURCE = '''"""A module."""

from package.other import thing


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
        for cached in (lineage._parsed, lineage._closure):
            cached.cache_clear()
        (tmp_path / "script.py").write_text(source)
        for name, text in others.items():
            (tmp_path / "package" / f"{name}.py").write_text(text)
        return lineage.code(tmp_path, "script.py")

    return codes


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# by addition", "# by adding x to itself"),
        ('"""Twice x."""', '"""x and x again."""'),
        ('"""A module."""', '"""The module."""'),
        ("return x + x", "return (\n        x\n        + x\n    )"),
        ("\n\n\ndef", "\ndef"),
    ],
    ids=["comment", "docstring", "module docstring", "layout", "blank lines"],
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
EVERY_JOB = "__init__ errors files interruption lineage"
RUNS = "training/__init__ training/device training/model_files training/run"
LIBRARY = {
    "data/download.py": "decode download images registry",
    "data/generate_noise.py": "decode images",
    "data/prepare.py": "decode images",
    "data/prepare_own.py": "decode images own",
    "train.py": f"images {RUNS}",
    "fit.py": f"images {RUNS}",
    "generate.py": f"images plots {RUNS}",
    "score.py": f"detector detector_files images scores {RUNS}",
    "evaluate.py": "metrics scores",
    "tables/compare.py": "metrics scores",
    "tables/gather.py": "config metrics overview own provenance registry tables",
    "tables/rank.py": "config metrics own provenance registry scores tables",
    "tables/record.py": "config metrics own provenance registry studies tables",
    "tables/book.py": "config metrics own provenance registry studies tables",
    "tables/reference.py": "config metrics own provenance reference registry tables",
    "plots/calibration.py": "plots scores",
    "plots/curves.py": "plots scores",
    "plots/extremes.py": "images plots scores",
    "plots/f1.py": "metrics plots scores",
    "plots/heatmap.py": "plots scores",
    "plots/histograms.py": "metrics plots scores",
    "plots/image_sets.py": "images plots",
    "plots/roc.py": "metrics plots scores",
    "plots/temperatures.py": "metrics plots scores",
    "plots/trajectory.py": "metrics plots scores",
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
    files = lineage.code(SCRIPTS, script)
    found = {Path(name) for name in files if name.startswith("ood/")}
    return {str(path.relative_to("ood").with_suffix("")) for path in found}


@pytest.mark.parametrize("script", LIBRARY)
def test_a_script_s_code_is_what_it_needs(script):
    assert library(script) == {*EVERY_JOB.split(), *LIBRARY[script].split()}


@pytest.mark.parametrize("script", ONE_METHOD_S)
def test_a_method_s_picture_needs_one_method(script):
    found = {name for name in library(script) if name.startswith("methods/")}
    assert found == {"methods/__init__", f"methods/{ONE_METHOD_S[script]}"}
    assert "detector_files" not in library(script)


def test_every_script_is_pinned():
    scripts = {
        str(path.relative_to(SCRIPTS))
        for path in SCRIPTS.rglob("*.py")
        if "with job(snakemake" in path.read_text()
    }
    assert scripts == {*LIBRARY, *ONE_METHOD_S}


def test_nothing_that_the_workflow_runs_needs_what_serves_users_alone():
    for script in (*LIBRARY, *ONE_METHOD_S):
        assert not {"inference", "__main__"} & library(script)
