"""What an edit of each library file makes run again in the default benchmark.

A rule runs again where its parameters change, and each file that counts as its code is one of them.
"""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from ood import provenance
from ood.config.benchmarks import Loader
from ood.config.kinds import settings_of
from ood.config.yaml_files import load_yaml
from support.job_code import Code
from support.jobs import Jobs
from support.plan import Plan

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow_scripts"
TABLE = Path(__file__).with_name("reruns.txt")


class Wildcards(SimpleNamespace):
    def keys(self):
        return vars(self).keys()


def rules():
    """The code files of every rule, by what it does and to what."""
    plan = Plan(Loader(ROOT, load_yaml(ROOT / "config.yaml")))
    counted, one, found = Code(plan, SCRIPTS), plan.benchmarks["digits"], {}

    def count(name, script, chosen=()):
        code = [value.partition(" ")[0] for value in counted.of(script).values()]
        code += [value.partition(" ")[0] for value in chosen]
        found.setdefault(name, set()).update(code)

    def add(name, script, **wildcards):
        chosen = counted.chosen(script)(Wildcards(benchmark="digits", **wildcards))
        count(name, script, chosen)

    for name, plain in one.models.items():
        add(f"train {plain['type']}", "models/train.py", model=name)
        if plan.provides("models", plain, "pseudo_ood"):
            add(f"generate {plain['type']}", "models/generate.py", model=name)
    for name, plain in one.methods.items():
        typed = settings_of("methods", plain)
        if typed.fitted:
            add(f"fit {typed.pipeline}", "models/fit.py", method=name)
        if "pseudo_ood" in typed.provides:
            add(f"generate {typed.pipeline}", "models/generate.py", method=name)
    script = "evaluation/score.py"
    for _, _, methods, _ in Jobs(plan).scoring():
        pipeline = one.methods[methods[0]]["pipeline"]
        count(f"score {pipeline}", script, counted.scoring(script, "digits", methods))
    for path in SCRIPTS.glob("*/*.py"):
        room = path.parent.name
        if room in ("data", "tables", "plots"):
            count(f"{room} {path.stem}", f"{room}/{path.name}")
    count("evaluate", "evaluation/evaluate.py")
    return found


def written(found):
    """A line for each library file: the rules that run again, a room's rules together."""
    rooms = {}
    for name in found:
        rooms.setdefault(name.partition(" ")[0], set()).add(name)
    lines = []
    for path in sorted((SCRIPTS / "ood").rglob("*.py")):
        file, parts = str(path.relative_to(SCRIPTS)), []
        for room, names in rooms.items():
            mine = {name for name in names if file in found[name]}
            if mine == names:
                parts.append(room if names == {room} else f"{room} *")
            elif mine:
                parts.append(f"{room} {' '.join(sorted(n.partition(' ')[2] for n in mine))}")
        what = "; ".join(sorted(parts)) if len(mine_of(found, file)) < len(found) else "everything"
        lines.append(f"{file.removeprefix('ood/')}: {what or 'nothing'}")
    return "\n".join(lines) + "\n"


def mine_of(found, file):
    return [name for name in found if file in found[name]]


def test_an_edit_of_a_library_file_reruns_what_it_is_for():
    """After a change that is meant, REWRITE=1 pytest writes the table anew."""
    text = written(rules())
    if os.environ.get("REWRITE"):
        TABLE.write_text(text)
    assert TABLE.read_text() == text


@pytest.mark.parametrize(
    ("file", "rules_that_run"),
    [
        ("inference.py", set()),
        ("layout.py", set()),
        ("training/lars.py", {"train csi_encoder"}),
        ("config/benchmarks.py", {"tables gather", "tables record", "tables book"}),
    ],
)
def test_some_edits_by_hand(file, rules_that_run):
    found = mine_of(rules(), f"ood/{file}")
    # the reference page is of all settings
    assert set(found) - {"tables reference"} == rules_that_run


def test_each_file_counts_as_a_parameter_of_its_own():
    params = Code(SimpleNamespace(), SCRIPTS).of("models/train.py")
    assert params["code_ood_files_py"].startswith("ood/files.py ")
    assert len(params) == len(provenance.code(SCRIPTS, "models/train.py"))
