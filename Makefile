PYTHON ?= python3
SNAKEMAKE = .venv/bin/snakemake
INSTALLED = .venv/.installed

.PHONY: run report help test lint docs bench slurm clean

run: $(INSTALLED)
	@.venv/bin/python workflow_scripts/support/unlock.py
	$(SNAKEMAKE) --cores all
	@echo
	@cat results/tables/leaderboard.md
	@echo
	@echo "Tables: results/tables/    Plots: results/plots/"

report: $(INSTALLED)
	@.venv/bin/python workflow_scripts/support/unlock.py
	$(SNAKEMAKE) --cores all
	$(SNAKEMAKE) --report results/report.html

help:
	@echo "make         install into .venv, run what config.yaml says, print the leaderboard"
	@echo "make report  the same, then one page of it all: results/report.html"
	@echo "make test    run the tests"
	@echo "make lint    ruff, snakefmt, snakemake --lint"
	@echo "make docs    the documents as pages: site/index.html"
	@echo "make slurm   install what profiles/slurm needs"
	@echo "make bench   time scores, metrics and training against libraries; writes docs/speed.md"
	@echo "make clean   delete results/ and data/"
	@echo
	@echo "With another Python: make PYTHON=python3.12. Anything else: .venv/bin/snakemake --help"

$(INSTALLED): requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11 to 3.13 is needed, this is " + sys.version.split()[0] + "; name another one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --disable-pip-version-check -r requirements.lock
	touch $@

test: $(INSTALLED)
	.venv/bin/python -m pytest

lint: $(INSTALLED)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/snakefmt --check Snakefile rules
	$(SNAKEMAKE) --lint

docs: $(INSTALLED)
	.venv/bin/mkdocs build --strict --quiet
	@echo "Pages: site/index.html"

bench: $(INSTALLED)
	.venv/bin/python -m pip install --disable-pip-version-check -q -r bench/requirements.txt
	.venv/bin/python bench/cpu.py --out docs/speed.md

slurm: $(INSTALLED)
	.venv/bin/python -m pip install --disable-pip-version-check -c requirements.lock -r envs/slurm.txt

clean:
	rm -rf results data site .snakemake
