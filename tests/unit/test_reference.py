"""Documents that follow from the files they are about, and those that must not fall behind."""

import re
from pathlib import Path

import pytest

from ood.reports import reference

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_pages_are_those_of_todays_files():
    assert (DOCS / "configuration.md").read_text() == reference.configuration(ROOT)
    assert (DOCS / "data.md").read_text() == reference.data()


def test_a_scale_within_a_setting_counts_as_a_difference():
    """The learning rate lies within the optimizer; a depth only DenseNet has."""
    mnist = reference.configuration(ROOT).split("### Recipe `mnist`")[1].split("### Recipe")[0]
    ((paper, quick),) = re.findall(
        r"\| `foreground` +\| `optimizer` +\| (.*?) +\| (.*?) +\|", mnist
    )
    assert "learning_rate: 0.0001" in paper
    assert "decay: 0.999995" in paper
    assert "learning_rate: 0.002" in quick
    assert "linear: 0.02" in quick
    cifar = reference.configuration(ROOT).split("### Recipe `cifar`")[1].split("### Recipe")[0]
    assert re.search(r"\| `leave_out_member` +\| `depth` +\| `100` +\| – +\|", cifar)


def test_every_page_is_in_the_navigation_and_every_link_leads_somewhere():
    listed = set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text()))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.glob("**/*.md")}
    assert listed == pages
    for page in [*DOCS.glob("**/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize("path", sorted((DOCS / "methods").glob("*.md")), ids=lambda p: p.stem)
def test_a_methods_page_names_files_and_studies_that_exist(path):
    text = path.read_text()
    for name in re.findall(r"`((?:workflow_scripts|rules)/[^`]+)`", text):
        assert (ROOT / name).exists(), name
    (studies,) = re.findall(r"^Stud(?:y|ies): (.*) in \[the results\]", text, re.M)
    for name in re.findall(r"`(\w+)`", studies):
        assert (ROOT / f"studies/{name}.yaml").exists(), name
