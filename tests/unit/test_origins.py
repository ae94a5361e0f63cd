"""Where each setting of a recipe comes from."""

from pathlib import Path

import pytest

from ood.__main__ import main
from ood.config.benchmarks import Loader, load_yaml
from ood.config.origins import origins
from ood.errors import InputError

ROOT = Path(__file__).parents[2]


def line(one):
    return (ROOT / one.file).read_text().splitlines()[one.line - 1]


@pytest.mark.parametrize("name", ["digits/cvae", "cifar/leave_out_wide", "mnist/background"])
def test_each_setting_is_set_in_the_line_that_is_named(name):
    _, found = origins(ROOT, name, "quick")
    assert len({one.setting for one in found}) == len(found)
    for one in found:
        assert f"{one.setting}:" in line(one)


def test_an_entry_s_own_settings_go_before_those_of_the_one_that_it_is_like():
    found = {one.setting: one for one in origins(ROOT, "digits/cvae", "quick")[1]}
    assert found["kl_weight"].file == "benchmarks/recipes/digits/cmg.yaml"
    assert found["latent"].file == "benchmarks/recipes/base/cmg.yaml"
    config = load_yaml(ROOT / "config.yaml")
    resolved = Loader(ROOT, config).benchmarks()["digits"].models["cvae"]
    for name, one in found.items():
        if name != "test_scores_seen":
            assert resolved[name] == one.value


def test_what_a_benchmark_changes_is_shown_beside():
    section, found = origins(ROOT, "mnist/oodgen_classifier", "paper", "mnist_0to4")
    assert section == "models"
    changed = {one.setting: one.value for one in found if one.file == "benchmarks/mnist_0to4.yaml"}
    assert changed["generation.lengths"] == [0.05, 1.0]
    assert changed["epochs"] == 150


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits/cvae", "did you mean 'mnist'"),
        ("mnist/cave", "no entry 'cave'.*did you mean 'cvae'"),
    ],
)
def test_a_misspelt_name_is_an_error_with_the_nearest_one(name, message):
    with pytest.raises(InputError, match=message):
        origins(ROOT, name, "quick")


def test_the_command_prints_a_line_for_each_setting(capsys):
    main(["settings", "mnist/cmg_energy", "--scale", "paper", "--root", str(ROOT)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mnist/cmg_energy (methods), scale paper"
    (epochs,) = [one for one in lines if one.startswith("  epochs: 15 ")]
    assert epochs.split()[-1].startswith("benchmarks/recipes/base/cmg.yaml:")
