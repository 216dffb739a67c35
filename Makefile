# `make run` serves Mixdesk, `make test` shows that it works. Both make .venv first, again only when requirements change.
# check  ruff and mypy; changes nothing            fast  what takes seconds: no browser, no training, no kills
# test   check, then every test but the soaks      soak  what is long by nature: kills, fuzzing, whole studies
# docs   the documentation as a site, in site/        bench  the short benchmarks, in ten minutes, and the page of figures
PYTHON ?= python3
PORT ?= 8501
BIN := .venv/bin
PYTEST = $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export NO_MKDOCS_2_WARNING = 1

.PHONY: run check fast test soak docs bench

run: .venv/run.stamp
	@PATH="$(CURDIR)/$(BIN):$$PATH" PORT=$(PORT) honcho start --no-prefix

check: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tests.support.ratchet

fast: .venv/test.stamp
	$(PYTEST) -m "not browser and not slow and not soak" $(TESTS)

test: check
	@sh tests/install_chromium.sh
	$(PYTEST) --cache-clear -m "not soak" $(TESTS) || { test $$? = 1 && $(BIN)/python -m tests.support.alone; }

# The exports' loaders go into a folder of their own, and without what they require: so no version in .venv changes, and
# torch least of all. requirements-loaders.txt names all that is missing. Where they cannot be had, their tests are skipped.
soak: .venv/test.stamp
	@test -e .venv/loaders.stamp -a ! requirements-loaders.txt -nt .venv/loaders.stamp || { rm -rf .venv/loaders && \
	  $(BIN)/python -m pip install --quiet --no-deps --target .venv/loaders -r requirements-loaders.txt && \
	  touch .venv/loaders.stamp; } || echo "The exports' loaders cannot be installed here: their tests are skipped."
	@$(BIN)/python -m pip install --quiet -r requirements-kinds.txt || echo "Kinds of data are left out that packages ship."
	@$(BIN)/python -m pip install --quiet -r requirements-harness.txt || echo "lm-evaluation-harness cannot be installed here: its tests are skipped."
	$(BIN)/python -m pytest -n 2 --dist loadfile -m soak $(TESTS)

bench: .venv/test.stamp
	@for one in starts memory plain; do OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.$$one || exit 1; done
	@$(BIN)/python docs/generate.py

docs: .venv/docs.stamp
	$(BIN)/mkdocs build --strict --quiet

.venv/run.stamp: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Mixdesk needs Python 3.11 or newer, and this is " + sys.version.split()[0] + ". Try: make run PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/test.stamp: .venv/run.stamp requirements-dev.txt requirements-agents.txt requirements-ray.txt requirements-slurm.txt requirements-hub.txt requirements-transformers.txt requirements-docs.txt
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@

.venv/docs.stamp: .venv/run.stamp requirements-docs.txt
	$(BIN)/python -m pip install --quiet -r requirements-docs.txt
	@touch $@
