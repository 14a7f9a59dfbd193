# make run SEED=7, make test: both set up .venv first, and again only when pyproject.toml or constraints.txt changed.

PYTHON ?= python3.11
SEED ?= 1000
CONFIG ?= experiments/in_situ_growth/config.toml
OUT ?= runs/growth-seed$(SEED)-$(shell date +%Y%m%d-%H%M%S)

BIN := .venv/bin
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Instruments from elsewhere run in environments of their own; one that cannot be installed is told and skipped by its tests.
FOREIGN := $(patsubst experiments/foreign_%/requirements.txt,.foreign/%/done,$(wildcard experiments/foreign_*/requirements.txt))

.PHONY: run test test-slow bench lint foreign clean

run: .venv/.runtime
	$(BIN)/adaptem run $(CONFIG) --seed $(SEED) --out $(OUT)

test: lint foreign
	$(BIN)/pytest -m "not slow"

test-slow: .venv/.test foreign
	$(BIN)/pytest -m slow

# Wants an idle machine: the twin beside a plain prototype, frames through the bridge beside bare pyzmq and a bare ring,
# and from an event to its command.
bench: .venv/.runtime
	$(BIN)/python -m experiments.benchmarks.twin
	$(BIN)/python -m experiments.benchmarks.stream
	$(BIN)/python -m experiments.benchmarks.event

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

foreign: $(FOREIGN)

.foreign/%/done: experiments/foreign_%/requirements.txt
	rm -rf .foreign/$* && $(PYTHON) -m venv .foreign/$*
	.foreign/$*/bin/pip install --quiet --disable-pip-version-check --requirement $< || echo "$< cannot be installed" > .foreign/$*/failed
	touch $@

clean:
	rm -rf .venv .foreign dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/.runtime: .venv/bin/pip pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable .
	touch $@

.venv/.test: .venv/bin/pip pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[test]'
	touch $@ .venv/.runtime
