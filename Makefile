# Every target works on a fresh machine that has make and Python 3.11 or newer with venv, and nothing else.
#   make serve   set up, load the example pathway, listen on 127.0.0.1:8080 (/fhir) and 127.0.0.1:2575 (MLLP)
#   make test    lint, tests from an installed wheel, the whole test suite

VENV   := .venv
PY     := $(VENV)/bin/python
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

LOCKED    := $(VENV)/.locked
INSTALLED := $(VENV)/.installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

.PHONY: help setup serve test lint unit wheel laws faults bench lock clean

help:
	@echo "make serve   the service with its example pathway"
	@echo "make test    lint, tests from an installed wheel, the whole test suite"
	@echo "make laws    the laws on many more random examples"
	@echo "make faults  the long fault runs (kill -9, full disks, dead peers)"
	@echo "make bench   each figure against its baseline"
	@echo "make lint    ruff, mypy --strict, import-linter"
	@echo "make lock    pin and hash the dependencies again"

# --- set up: once, and again only when the lock, the metadata or the build hook change ---------------------------

$(LOCKED): requirements.lock
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with venv was found. Install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --require-hashes -r requirements.lock
	@touch $@

$(INSTALLED): $(LOCKED) pyproject.toml $(wildcard hatch_build.py)
	$(PY) -m pip install --quiet --no-deps --editable .
	@touch $@

setup: $(INSTALLED)

# --- use ------------------------------------------------------------------------------------------------------------

serve: $(INSTALLED)
	@$(VENV)/bin/icops-fhir serve --example

# --- check ----------------------------------------------------------------------------------------------------------

test: lint wheel unit

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

unit: $(INSTALLED)
	ICOPS_LAWS=ci $(PY) -m pytest -m "not faults and not bench and not long and not network"

# The wheel is installed in a venv of its own, outside the tree, and tested there: profiles/ and the R4 pack must be in it.
wheel: $(INSTALLED)
	$(PY) tests/wheel/run.py

laws: $(INSTALLED)
	ICOPS_LAWS=long $(PY) -m pytest --timeout 3600 tests/laws
	ICOPS_LAWS=long $(PY) -m pytest --timeout 3600 -m long || test $$? -eq 5

faults: $(INSTALLED)
	$(PY) -m pytest --timeout 3600 -m faults

bench: $(INSTALLED)
	$(PY) tests/bench/run.py

# --- care -----------------------------------------------------------------------------------------------------------

LOCK := --universal --generate-hashes --no-emit-index-url --python-version 3.11 --custom-compile-command "make lock" --quiet
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet uv
	build/lock/bin/uv pip compile pyproject.toml --extra dev $(LOCK) --output-file requirements.lock
	build/lock/bin/uv pip compile pyproject.toml --constraint requirements.lock $(LOCK) --output-file docker/requirements.lock

clean:
	rm -rf $(VENV) build dist
