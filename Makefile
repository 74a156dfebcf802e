# make demo    set up, then the whole way on generated scenes
# make test    set up, then linters, types, import order and the test suite, in two processes (JOBS=8 for eight)
# make docs    set up, then the documentation site in docs/_build; warnings are errors
# make setup   a virtual environment in .venv with the project in it
.PHONY: setup demo docs test test-all lint clean

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
# Test processes share the cores: threads that wait should sleep soon (see entry in src/dhr/cli/__init__.py).
PYTEST := GOMP_SPINCOUNT=1000 $(BIN)/python -m pytest

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name one: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): torch and the rest are about 5 GB, some minutes the first time"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,docs]'
	touch $@

demo: setup
	$(BIN)/dhr demo --out demo

# Links between pages are checked; nothing is asked of a server.
docs: setup
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --builder html docs docs/_build

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(PYTEST) --numprocesses $(JOBS) --dist worksteal -m "not slow"

test-all: lint
	$(PYTEST) --numprocesses $(JOBS) --dist worksteal

clean:
	rm -rf $(VENV) demo docs/_build .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
