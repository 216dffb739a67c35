# Two commands: `make run` and `make test`. Both make .venv first, and again only when the requirements change.
PYTHON ?= python3
PORT ?= 8501
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run test

run: .venv/run.stamp
	@PATH="$(CURDIR)/$(BIN):$$PATH" PORT=$(PORT) honcho start --no-prefix

test: .venv/test.stamp
	@sh tests/install_chromium.sh
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

.venv/run.stamp: requirements.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Mixdesk needs Python 3.11 or newer, and this is " + sys.version.split()[0] + ". Try: make run PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	@touch $@

.venv/test.stamp: .venv/run.stamp requirements-dev.txt requirements-ray.txt requirements-slurm.txt requirements-transformers.txt
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@
