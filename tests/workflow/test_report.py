"""The pages in a real browser. Run with `-m browser`; needs Debian's chromium."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from ood.reports.overview import overview_page

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# what a user does, and what they see then, left in the page for --dump-dom
HARNESS = """
<script type="module">
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const found = {errors: []};
window.addEventListener("error", (event) => found.errors.push(String(event.message)));
const column = (number) =>
  [...document.querySelectorAll(".dt-container tbody tr")]
    .map((row) => row.cells[number].textContent);
while (!document.querySelector(".dt-search input, input[type=search]")) await wait(50);
await wait(200);
found.loaded = Math.round(performance.now());
const heads = [...document.querySelectorAll(".dt-container thead th")];
const auroc = heads.findIndex((head) => head.textContent.trim() === "AUROC");
heads[auroc].querySelector(".dt-column-title").click();
await wait(500);
found.ascending = column(auroc);
heads[auroc].querySelector(".dt-column-title").click();
await wait(500);
found.descending = column(auroc);
const search = document.querySelector(".dt-search input, input[type=search]");
search.value = "method_3 ";
search.dispatchEvent(new Event("input", {bubbles: true}));
search.dispatchEvent(new Event("keyup", {bubbles: true}));
await wait(800);
found.searched = column(heads.findIndex((head) => head.textContent.trim() === "method"));
const out = document.createElement("pre");
out.id = "found";
out.textContent = JSON.stringify(found);
document.body.appendChild(out);
</script>
"""


def browse(path, *arguments):
    """The page's DOM after its scripts, and what they printed as errors."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000"]
    done = subprocess.run(
        [*command, *arguments, "--dump-dom", f"file://{path}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    errors = re.findall(r'CONSOLE.*?"(.*(?:Error|Failed|ERR_).*)"', done.stderr)
    return done.stdout, errors


def pairs(count):
    rng = np.random.default_rng(0)
    auroc = rng.uniform(10, 100, count).round(2)
    return pd.DataFrame(
        {"benchmark": "b", "scale": "quick", "group": "near"}
        | {"ood_set": [f"set_{n // 9}" for n in range(count)]}
        | {"method": [f"method_{n % 9} " for n in range(count)], "protocol": "final"}
        | {"auroc": auroc, "auroc_sd": np.nan, "auroc_low": auroc - 1, "auroc_high": auroc + 1}
        | {"fpr95": 50.0, "id_accuracy": 90.0, "seeds": 1}
        | {"published": np.where(np.arange(count) % 2, 97.5, np.nan)}
        | {"published_protocol": np.where(np.arange(count) % 2, "oracle", None)}
        | {"difference": np.nan, "flags": ""}
    )


@pytest.mark.parametrize("count", [126, 3000])
def test_the_overview_sorts_and_searches_without_a_network(tmp_path, count):
    page = tmp_path / "overview.html"
    text = overview_page(pairs(count))
    page.write_text(text.replace("</body>", HARNESS + "</body>"))
    dom, errors = browse(page)
    found = json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', dom)[1]))
    assert (errors, found["errors"]) == ([], [])
    ordered = sorted(pairs(count)["auroc"])
    assert [float(one) for one in found["ascending"]] == ordered[:25]
    assert [float(one) for one in found["descending"]] == ordered[::-1][:25]
    assert len(found["searched"]) == min(25, count // 9)
    assert {one.strip() for one in found["searched"]} == {"method_3"}
    print(f"{count} pairs: {len(text) / 1e6:.2f} MB, {found['loaded']} ms")


def test_the_report_starts_with_what_was_run_and_shows_a_picture(finished):
    finished.run("--report", "results/report.html")
    page = finished.path("results/report.html")
    assert page.stat().st_size < 20e6
    dom, errors = browse(page)
    assert errors == []
    assert "Out-of-distribution detection" in dom
    assert "Benchmarks: tiny" in dom
    assert "(overview)" in dom
    # pictures go by names, and lie in the page
    content = page.read_text()
    for name in ("msp", "unseen_digits", "overview.html"):
        assert f'"{name}"' in content
    assert "data:image/png;" in content
