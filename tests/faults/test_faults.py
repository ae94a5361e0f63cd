"""The workflow against kill -9, damaged and exchanged files and a full disk. Run with `-m faults`,
before a release: every score, metric and model ends as in an undisturbed run, or the message names
the file."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from workflow.conftest import Project, new_project

pytestmark = pytest.mark.faults
METHODS = ["msp", "cmg_energy", "oodgen", "leave_out", "likelihood_ratio", "vmdls", "csi"]
KILLS = 20
RUN = "results/smoke/digits/seed0"


def configured(folder: Path) -> Project:
    project = new_project(folder)
    project.configure(benchmarks=["digits"], methods=METHODS)
    return project


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Project:
    project = configured(tmp_path_factory.mktemp("faults") / "undisturbed")
    project.run("results/tables/metrics.csv")
    return project


def kept(project: Project) -> dict[str, bytes]:
    """Scores, models and detectors; metrics without who made them and when."""
    found = {}
    for pattern in ("scores/**/*.parquet", "models/**/*.pt", "detectors/**/*.pt"):
        found |= {name: one[0] for name, one in project.contents(f"{RUN}/{pattern}").items()}
    found["metrics"] = project.path("results/tables/metrics.csv").read_bytes()
    return found


def test_killed_at_random_moments_it_ends_with_the_same_bytes(undisturbed, tmp_path, trials):
    project, rng, kills = configured(tmp_path / "killed"), random.Random(0), 0
    target = "results/tables/metrics.csv"
    while kills < KILLS:
        running = subprocess.Popen(
            project.command(target),
            cwd=project.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        try:
            running.wait(rng.uniform(4, 16))
            # it was done before: all over again
            shutil.rmtree(project.path("results"))
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            kills += 1
        project.run("--unlock")
    project.run(target)
    wanted, found = kept(undisturbed), kept(project)
    assert found.keys() == wanted.keys()
    different = [name for name in wanted if found[name] != wanted[name]]
    trials["identical" if not different else "silent"] += kills
    assert not different
    left = [path for path in project.folder.rglob(".tmp-*") if ".snakemake" not in path.parts]
    assert len(left) <= KILLS


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def edit(path: Path) -> None:
    text = path.read_text()
    assert '"auroc": 0.' in text
    path.write_text(text.replace('"auroc": 0.', '"auroc": 0.9', 1))


SCORED = {one: (f"{RUN}/scores/{one}", f"{RUN}/metrics/{one}") for one in ("cmg_energy", "msp")}
# what is damaged, how, and what is deleted so that somebody reads it
DAMAGES = [
    *[
        (f"{RUN}/detectors/cmg_energy/detector.pt", how, SCORED["cmg_energy"])
        for how in (flip, cut, empty)
    ],
    (f"{RUN}/detectors/cmg_energy/detector.json", cut, SCORED["cmg_energy"]),
    *[(f"{RUN}/models/classifier/model.pt", how, SCORED["msp"]) for how in (flip, cut)],
    *[("data/prepared/8x8x1/uniform/test.npz", how, SCORED["msp"]) for how in (flip, cut, empty)],
    *[(f"{RUN}/scores/msp/digits.parquet", how, SCORED["msp"][1:]) for how in (flip, cut, empty)],
    *[(f"{RUN}/metrics/msp/uniform.json", how, ()) for how in (edit, cut, empty)],
]


@pytest.mark.parametrize(
    ("name", "damage", "deleted"),
    DAMAGES,
    ids=[f"{Path(name).name}-{damage.__name__}" for name, damage, _ in DAMAGES],
)
def test_a_damaged_file_is_named_or_made_again(
    undisturbed, tmp_path, trials, name, damage, deleted
):
    project = undisturbed.copy(tmp_path / "damaged")
    wanted = kept(undisturbed)
    path = project.path(name)
    before = path.stat()
    damage(path)
    # as a disk damages it: nobody wrote
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    # what is made of it, so that somebody reads it
    for folder in (*deleted, "results/tables"):
        shutil.rmtree(project.path(folder))
    done = subprocess.run(
        project.command("results/tables/metrics.csv"),
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout + done.stderr
    assert "Traceback" not in text
    if done.returncode:
        assert name in text
        trials["named"] += 1
        path.unlink()
        project.run("results/tables/metrics.csv")
        assert kept(project) == wanted
        return
    same = kept(project) == wanted
    trials["identical" if same else "silent"] += 1
    assert same


@pytest.mark.parametrize("suffixes", [("",), ("", ".sha256")], ids=["alone", "with_its_digest"])
def test_another_methods_detector_is_named(undisturbed, tmp_path, trials, suffixes):
    project = undisturbed.copy(tmp_path / "exchanged")
    folder = project.path(RUN, "detectors")
    for suffix in suffixes:
        name = f"detector.pt{suffix}"
        shutil.copy(folder / "vmdls" / name, folder / "cmg_energy" / name)
    for folder in (*SCORED["cmg_energy"], "results/tables"):
        shutil.rmtree(project.path(folder))
    text = project.run("results/tables/metrics.csv", check=False)
    assert "detectors/cmg_energy/detector.pt" in text
    trials["named"] += 1


def test_a_full_disk_is_named_and_what_was_computed_is_kept(undisturbed, tmp_path, trials):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        project = configured(disk / "project")
        text = project.run("results/tables/metrics.csv", check=False)
        assert "No space left" in text
        size = ["mount", "-o", "remount,size=2g", str(disk)]
        subprocess.run(size, check=True)
        project.run("--unlock")
        project.run("results/tables/metrics.csv")
        assert kept(project) == kept(undisturbed)
        trials["named"] += 1
    finally:
        time.sleep(1)
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_full_temporary_folder_is_named_before_any_job(
    undisturbed, tmp_path, trials, monkeypatch
):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        monkeypatch.setenv("TMPDIR", str(disk))
        text = configured(tmp_path / "project").run("results/tables/metrics.csv", check=False)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
    assert f"{disk}: less than 1 MiB is free for temporary files" in text
    assert "Traceback" not in text
    trials["named"] += 1


def peak_of(command, folder):
    """The most memory that a command has, in bytes."""
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return os.wait4(process.pid, 0)[2].ru_maxrss * 1024


def test_memory_that_runs_out_is_said_and_the_rerun_ends_with_the_same_bytes(
    undisturbed, tmp_path, trials
):
    group = Path("/sys/fs/cgroup/memory/ood-faults")
    limit = group / "memory.limit_in_bytes"
    if not group.parent.exists():
        group, limit = (
            Path("/sys/fs/cgroup/ood-faults"),
            Path("/sys/fs/cgroup/ood-faults/memory.max"),
        )
    try:
        group.mkdir(exist_ok=True)
        limit.write_text("1G")
    except OSError:
        pytest.skip("needs the right to limit memory by a cgroup")
    project = configured(tmp_path / "project")
    command = project.command("results/tables/metrics.csv")
    # enough for Snakemake, whatever plugins it has, and not for a job beside it
    limit.write_text(str(int(1.25 * peak_of([*command, "--dry-run"], project.folder))))
    try:
        done = subprocess.run(
            ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *command],
            cwd=project.folder,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        time.sleep(1)
        group.rmdir()
    assert done.returncode
    assert "Memory may have run out: lower --cores" in done.stdout + done.stderr
    trials["named"] += 1
    project.run("results/tables/metrics.csv")
    assert kept(project) == kept(undisturbed)
    trials["identical"] += 1
