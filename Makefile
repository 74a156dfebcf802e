# make demo    set up, then the whole way on generated scenes
# make test    set up, then linters, types, import order and the test suite, in two processes (JOBS=8 for eight)
# make setup   a virtual environment in .venv with the project in it
.PHONY: setup demo test test-all lint style types suite clean

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
# Test processes share the cores: threads that wait should sleep soon (see entry in src/dhr/cli/__init__.py). They also
# share bytecode: some hundred processes import the same modules.
PYTEST := PYTHONDONTWRITEBYTECODE= GOMP_SPINCOUNT=1000 $(BIN)/python -m pytest

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name one: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): torch and the rest are about 5 GB, some minutes the first time"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/dhr demo --out demo

lint: style types

style: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy
	$(BIN)/lint-imports

suite: setup
	$(PYTEST) --numprocesses $(JOBS) --dist worksteal -m "not slow"

# Types are checked beside the tests: mypy keeps one core busy for a minute.
test: style
	$(MAKE) --jobs 2 types suite

test-all: lint
	$(PYTEST) --numprocesses $(JOBS) --dist worksteal

clean:
	rm -rf $(VENV) demo .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
