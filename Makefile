# make demo    set up, then the whole way on generated scenes
# make test    set up, then linters, types, import order and the test suite, in two processes (JOBS=8 for eight)
# make docs    set up, then the documentation site in docs/_build/html; warnings are errors
# make dist    set up, then wheel and source package in dist/, built twice with equal bytes
# make setup   a virtual environment in .venv with the project in it
# make soak    set up, then kills, faults, edits and changed files for SOAK_MINUTES (60); counts go on in build/soak/soak.json
# More: style, types, suite (the parts of make test); coverage, mutants, public-types; lowest, newest, lock; audit; dist-check, tag-check, sbom,
# licences, sizes; image, image-cuda; clean
# LOCKED=yes, with any of them: the versions of uv.lock, in .venv-locked
.PHONY: setup demo docs test test-all soak lint style types suite coverage mutants public-types lowest newest lock audit dist dist-check tag-check sbom licences sizes image image-cuda clean

PYTHON ?= python3
JOBS ?= 2
VENV := .venv$(if $(LOCKED),-locked)
IN := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := $(VENV)/$(IN)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# What $(call extras,a b) installs: the package itself, editable, with two of its extras.
UV := 0.13.9
comma := ,
space := $(subst x,,x x)
ifdef LOCKED
extras = UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv sync --quiet --locked --inexact $(addprefix --extra ,$(1))
else
extras = $(INSTALL) --editable '.[$(subst $(space),$(comma),$(1))]'
endif
# Test processes share the cores: threads that wait should sleep soon (see entry in src/dhr/cli/__init__.py). They also
# share bytecode: some hundred processes import the same modules.
PYTEST := PYTHONDONTWRITEBYTECODE= GOMP_SPINCOUNT=1000 $(BIN)/python -m pytest

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml $(if $(LOCKED),uv.lock)
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name one: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): torch and the rest are about 8 GB, some minutes the first time"
	$(if $(LOCKED),$(INSTALL) uv==$(UV))
	$(call extras,dev docs)
	touch $@

$(VENV)/release: $(VENV)/ready
	$(call extras,release)
	touch $@

demo: setup
	$(BIN)/dhr demo --out demo

# Links between pages are checked; nothing is asked of a server. Everything is built again, because pages depend on the code.
docs: setup
	$(BIN)/sphinx-build --quiet --fresh-env --write-all --fail-on-warning --keep-going --builder html --doctree-dir docs/_build/doctrees docs docs/_build/html

.PHONY: style types
lint: style types

style: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy
	$(BIN)/lint-imports

suite: setup
	$(PYTEST) --numprocesses $(JOBS) --dist worksteal -m "not slow"

test: lint suite

test-all: lint
	$(PYTEST) --numprocesses $(JOBS) --dist worksteal

$(VENV)/soak: $(VENV)/ready
	$(call extras,soak)
	touch $@

# Ends with the number of rounds and of failures. The counts of earlier calls are added to; delete the file to begin again.
SOAK_MINUTES ?= 60
soak: $(VENV)/soak
	$(BIN)/python -m tests.soak --minutes $(SOAK_MINUTES)

$(VENV)/checks: $(VENV)/ready
	$(call extras,checks)
	touch $@

# Lines and branches of src/dhr that the suite runs, in processes that it starts, too. Ends with their share, of which 95 % is
# needed; pyproject.toml says what is left out. All lines in colours: build/coverage/html.
coverage: $(VENV)/checks
	rm -rf build/coverage
	COVERAGE_FILE=$(CURDIR)/build/coverage/data $(PYTEST) --numprocesses $(JOBS) --dist worksteal -m "not slow" --cov \
		--cov-report=html:build/coverage/html
	COVERAGE_FILE=$(CURDIR)/build/coverage/data $(BIN)/coverage report --skip-covered --fail-under=95

# Changes of src/dhr/ops and src/dhr/method that the tests of the changed module notice. Outcomes of earlier calls are kept in
# build/mutants/mutants.json. Lists the unnoticed changes, and ends with the share of noticed ones, of which 85 % are needed.
MUTANTS_MINUTES ?= 60
mutants: $(VENV)/checks
	$(BIN)/python -m tests.mutants --minutes $(MUTANTS_MINUTES)

# Public names with all types that they lead to, as users' type checkers see them. Ends with the number of unknown ones.
public-types: $(VENV)/checks
	$(BIN)/python packaging/check_types.py

# The suite with the lowest versions of the libraries that pyproject.toml allows, in an environment of its own.
lowest:
	test -x .venv-lowest/bin/uv || { $(PYTHON) -m venv .venv-lowest && .venv-lowest/bin/python -m pip install --quiet uv; }
	$(MAKE) suite VENV=.venv-lowest \
		INSTALL='.venv-lowest/bin/uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct'

# The suite with the newest ones.
newest:
	$(MAKE) suite VENV=.venv-newest \
		INSTALL='.venv-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager'

# The newest versions go into uv.lock, for all systems and versions of Python; `make suite LOCKED=yes` uses them. Those
# that build a release go into packaging/release.txt.
lock: $(VENV)/release
	$(BIN)/uv lock --quiet --upgrade --default-index https://pypi.org/simple
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--default-index https://pypi.org/simple packaging/release.in --output-file packaging/release.txt

# Weaknesses of the workflows; and files that a public forge would refuse. The schemas are part of check-jsonschema.
SCHEMA = $(BIN)/check-jsonschema --quiet --builtin-schema vendor.
audit: $(VENV)/release
	$(BIN)/zizmor --offline --quiet .github
	$(SCHEMA)github-workflows .github/workflows/*.yml
	$(SCHEMA)dependabot .github/dependabot.yml
	$(SCHEMA)github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/wish.yml
	$(SCHEMA)github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(SCHEMA)citation-file-format CITATION.cff

# What builds a release: fixed versions with digests, and neither the project nor its libraries.
RELEASE := .venv-release
$(RELEASE)/ready: packaging/release.txt
	test -x $(RELEASE)/$(IN)/python || $(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/$(IN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	touch $@

# Files get the time of the last commit, so the same commit gives the same bytes.
BUILD = SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(RELEASE)/$(IN)/python -m build --no-isolation
dist: $(RELEASE)/ready
	rm -rf dist build/again
	$(BUILD) --outdir dist
	$(BUILD) --outdir build/again
	diff --recursive dist build/again && ls -l dist

# The wheel in an empty environment, without extras: demo, and the program of the README.
dist-check: dist
	rm -rf build/empty && $(PYTHON) -m venv build/empty
	build/empty/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	build/empty/bin/python packaging/check_wheel.py

# The tag of a release names the version of the package, the changelog has its date, and all files are those of the commit.
tag-check:
	test -z "$$(git status --porcelain)"
	version=$$(sed -n 's/^__version__ = "\(.*\)"$$/\1/p' src/dhr/__init__.py) \
		&& test "$$GITHUB_REF_NAME" = "v$$version" && grep -q "^## \[$$version\] - 2" CHANGELOG.md

# What the wheel installs, as CycloneDX has it.
sbom: dist-check
	$(RELEASE)/$(IN)/python packaging/sbom.py build/empty dist/*.whl build/sbom.json

# Licences of everything that is installed. Those of the models: dhr models.
licences: $(VENV)/release
	$(BIN)/pip-licenses --with-urls --order license

# Disk space of dhr and of each extra.
sizes: $(VENV)/release
	$(BIN)/python packaging/sizes.py

image:
	docker build --target cpu --tag dhr .

image-cuda:
	docker build --target cuda --tag dhr:cuda .

clean:
	rm -rf $(VENV) .venv-locked .venv-lowest .venv-newest $(RELEASE) demo dist build docs/_build .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
