# Every target does its own set-up: it makes .venv and installs into it what constraints.txt pins.
# Needs Python >= 3.10 with venv, make and git. Another Python: make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
DOCUMENTING := $(VENV)/documenting

# One thread a process: two processes with two threads each would fight for the cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

.DEFAULT_GOAL := help
.PHONY: help demo test examples test-ray test-slow check docs mutants faults fuzz bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## what masking does to ER and DER++ on built-in data; report in runs/demo
	$(BIN)/maskcl demo

test: $(INSTALLED) ## the fast tests, doctests included
	$(PYTEST) -m "not slow"

examples: $(VENV)/installed-examples ## run the files of examples/ and test what they print; installs Lightning, transformers, Avalanche
	$(PYTEST) -m "not slow" tests/test_examples.py

test-ray: $(INSTALLED) ## the tests of --launcher ray, on a Ray of two workers; installs ray
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ray]'
	$(BIN)/pytest tests/launch/test_on_ray.py

test-slow: $(INSTALLED) ## the tests that take minutes: published figures
	$(PYTEST) -m slow

check: $(INSTALLED) ## lint, format, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Not --quiet: mkdocs then counts no warnings, and --strict lets all of them pass. Of the notice that is switched off,
# Material's on its successor, docs/design/documentation.md says what it means for us.
docs: $(DOCUMENTING) ## the documentation as a site, into site/; a warning fails it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "site/index.html"

mutants: $(INSTALLED) ## small errors put into src: the share that tests notice; hours, or SAMPLE=500, ONLY=src/maskcl/mask.py
	ONLY="$(ONLY)" AGAIN="$(AGAIN)" SAMPLE="$(SAMPLE)" SHOW="$(SHOW)" OMP_NUM_THREADS=1 $(BIN)/python tools/mutants.py

faults: $(INSTALLED) ## runs killed at 100 random moments (COUNT=1000: so many) and begun again: every file as if they were not
	COUNT="$(COUNT)" SEED="$(SEED)" OMP_NUM_THREADS=1 $(BIN)/python tools/kill_runs.py

fuzz: $(INSTALLED) ## 10,000 random experiment files and damaged files (CASES=, SEED=, FIRST=): valid, or refused in a sentence
	CASES="$(CASES)" SEED="$(SEED)" FIRST="$(FIRST)" OMP_NUM_THREADS=1 $(BIN)/python tools/fuzz.py

bench: $(INSTALLED) ## speed, as ratios to a bare PyTorch loop
	$(BIN)/maskcl bench

clean: ## remove .venv and caches; results in runs/ stay
	rm -rf $(VENV) site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("maskcl needs Python >= 3.10, got " + sys.version.split()[0] + "\nhint: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV), PyTorch among it: minutes the first time" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/installed-examples: $(INSTALLED)
	@echo "installing what the examples need into $(VENV): two minutes the first time" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[examples]'
	@touch $@

$(DOCUMENTING): $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@
