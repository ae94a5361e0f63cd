"""Configuration, wildcards, and what all rules need."""

import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
SCRIPTS = ROOT / "workflow_scripts"
sys.path.insert(0, str(SCRIPTS))
# scripts in folders of their own find the library too
os.environ.update(PYTHONPATH=str(SCRIPTS))
# pictures are files; a job needs no screen
os.environ.setdefault("MPLBACKEND", "agg")

from ood import layout
from ood.config.benchmarks import Loader
from ood.config.yaml_files import load_yaml
from ood.data.registry import ID_NOISES, NOISES, REGISTRY
from ood.errors import InputError
from ood.files import check_places
from ood.layout import SUFFIXES, Seed, figure
from support.failures import Failures, pass_on_signals
from support.figures import Figures
from support.job_code import Code
from support.job_inputs import Inputs, files_of_dataset
from support.job_params import Params
from support.jobs import TABLES, Jobs
from support.plan import Plan, name_of, one_of
from snakemake.logging import logger

try:
    check_places("results", "data")
    # what each key comes from, for messages: a file overrides those before it. Snakemake has read
    # them, and takes the last of two equal keys
    SOURCES = {}
    for PATH in [*workflow.configfiles, *workflow.config_settings.configfiles]:
        SOURCES |= dict.fromkeys(load_yaml(Path(PATH)), str(PATH).removeprefix(f"{ROOT}/"))
    SOURCES |= dict.fromkeys(workflow.config_settings.config, "--config")
    PLAN = Plan(Loader(ROOT, config, sources=SOURCES))
    INPUTS, PARAMS, CODE = Inputs(PLAN), Params(PLAN, SCRIPTS), Code(PLAN, SCRIPTS)
    JOBS, FIGURES = Jobs(PLAN), Figures(PLAN)
except InputError as error:
    raise WorkflowError(str(error)) from None

if PLAN.config.reference not in {name for one in PLAN.benchmarks.values() for name in one.methods}:
    logger.warning(
        f"reference: {PLAN.config.reference} is not among the chosen methods: comparisons.csv will be empty"
    )
# the results of a seed, and below folders of their own its logs and costs
RUN, LOG, COST = (
    Seed.of(PLAN.config.scale, "{benchmark}", "{seed}", top)
    for top in (layout.RESULTS, layout.LOGS, layout.COSTS)
)
FAILURES = Failures()
logger.addHandler(FAILURES)
# what decides numbers beside settings and code, of what a device computes
COMPUTING = PLAN.config.computing
# what a job that trains or scores needs: minutes and MiB. Of quick and smoke about twice the most
# that costs.csv has shown, of paper a guess
NEEDS = {
    "train": {"smoke": (10, 1500), "quick": (120, 5000), "paper": (2880, 16000)}[PLAN.config.scale],
    "score": {"smoke": (5, 1500), "quick": (30, 5000), "paper": (480, 16000)}[PLAN.config.scale],
}
# a GPU that only may be there is counted where the jobs run beside this process
WITH_GPU = config["device"] == "cuda" or (
    config["device"] == "auto" and workflow.local_exec and bool(shutil.which("nvidia-smi"))
)


def requests(kind):
    """Resources of a rule; a further attempt, on a cluster, asks for more."""
    minutes, mebibytes = NEEDS[kind]
    return {
        "runtime": lambda w, attempt: minutes * attempt,
        "mem_mb": lambda w, attempt: mebibytes * attempt,
        "gpu": int(WITH_GPU),
    }


# each submission to a cluster has the profile's number for itself
resource_scopes:
    gpu="local",


# by kind, each a script in plots/: `names` of a benchmark's pictures and the `inputs` of all; where
# they compare, over all seeds, the `methods`; whether test images count (`tested`, true by default), whether a net
# is needed (`heavy`), whether a `table` lies beside each, and a `title` in the report
PICTURES = {}


wildcard_constraints:
    benchmark=one_of(PLAN.benchmarks),
    seed=r"\d+",
    dataset=one_of([*REGISTRY, *PLAN.user_images, *PLAN.generated]),
    split="train|test",
    shape=r"\d+x\d+x\d+",
    method=PLAN.named("methods"),
    model=PLAN.named("models"),
    # a detector for the validation protocol, or the one for the others
    chosen=r"(\.validation)?",


def edges(*found):
    """Input files by name. A large one is told from another by the small one beside it."""

    def large(path):
        return ancient(path) if path.endswith((".npz", ".pt")) else path

    def merged(wildcards):
        paths = {name: one for some in found for name, one in some(wildcards).items()}
        return {
            name: large(one) if isinstance(one, str) else [large(path) for path in one]
            for name, one in paths.items()
        }

    return merged
