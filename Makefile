# `make lab` and `make test` need Python 3.10 or newer and make; they install the rest into .venv.
# Everything is called as `.venv/bin/python -m ...`, which also works in a folder whose name has spaces.
PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help lab test test-banks test-oldest notebooks exercises results lint

help:
	@echo "make lab         start the course in JupyterLab"
	@echo "make test        run every test, and every notebook under the smoke profile"
	@echo "make test-banks  every exercise's known mistakes and correct answers again, on 100 seeds (10 in make test)"
	@echo "make test-oldest the tests again with the oldest versions that pyproject.toml allows"
	@echo "make lint        ruff: faults, and the layout of code"
	@echo "make notebooks   run all notebooks under the laptop profile and store what they show"
	@echo "make exercises   make exercises/ from solutions/"
	@echo "make results     measure every shipped generator anew and write RESULTS.md"

lab: .venv/.lab
	@$(PY) -m aigc_lessons.cli lab

# Two workers of one thread each. The browser tests come alone: a machine busy with other tests is too slow for them.
test: export OMP_NUM_THREADS = 1
test: lint
	$(PY) -m pytest -q -n 2 --dist worksteal --ignore=tests/e2e
	$(PY) -m pytest -q tests/e2e
	AIGC_PROFILE=smoke $(PY) -m pytest -q -n 2 --nbval notebooks
	@echo "All tests passed."

test-banks: export OMP_NUM_THREADS = 1
test-banks: export AIGC_BANK_SEEDS = 100
test-banks: .venv/.test
	$(PY) -m pytest -q -n 2 --dist worksteal tests/exercises/test_exercise_banks.py

test-oldest: export OMP_NUM_THREADS = 1
test-oldest: .venv/.oldest
	.venv/oldest/bin/python -m pytest -q -n 2 --dist worksteal --ignore=tests/e2e --ignore=tests/grading/test_bank.py --ignore=tests/grading/test_grading.py --ignore=tests/grading/test_honest.py --ignore=tests/grading/test_abuse.py --ignore=tests/exercises/test_exercise_banks.py
	AIGC_PROFILE=smoke .venv/oldest/bin/python -m pytest -q -n 2 --nbval notebooks

lint: .venv/.test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check --quiet .

notebooks: .venv/.test exercises
	AIGC_PROFILE=laptop $(PY) -m aigc_lessons.authors.notebooks run notebooks/*.ipynb solutions/*.ipynb

results: .venv/.test
	$(PY) -m aigc_lessons.authors.results

exercises: .venv/.test
	$(PY) -m aigc_lessons.authors.notebooks exercises

# A stamp is touched only after a whole install, so a failed one is tried again; a newer pyproject.toml makes it stale.
.venv/.lab: pyproject.toml | .venv/.made
	@echo "Installing the course into .venv: about 2 minutes, 6 GB of disk ..."
	@$(PIP) -e '.[lab]'
	@touch $@

.venv/.test: pyproject.toml | .venv/.made
	@echo "Installing the course and its tests into .venv: about 2 minutes, 6 GB of disk ..."
	@$(PIP) -e '.[lab,test]'
	@touch $@ .venv/.lab

.venv/.oldest: pyproject.toml tests/oldest.py | .venv/.test
	@echo "Installing the oldest versions into .venv/oldest: about 2 minutes, 6 GB of disk ..."
	@$(PYTHON) -m venv .venv/oldest
	@$(PY) tests/oldest.py > .venv/oldest/constraints.txt
	@.venv/oldest/bin/python -m pip install --quiet --disable-pip-version-check -c .venv/oldest/constraints.txt -e '.[lab,test]'
	@touch $@

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "The course needs Python 3.10 or newer; $(PYTHON) is `$(PYTHON) --version 2>/dev/null || echo missing`."; \
	    echo "Install one (https://www.python.org/downloads), or name the one to use: make $(MAKECMDGOALS) PYTHON=python3.12"; \
	    exit 1; }
	@$(PYTHON) -m venv .venv || { \
	    echo "$(PYTHON) cannot make a virtual environment. On Debian or Ubuntu: sudo apt install python3-venv"; exit 1; }
	@touch $@
