# make demo    install, then the main job on the embedded model and data
# make test    install what the tests need, then all of them
# make gpu     what a GPU shows, in at most 8 minutes; WHEELS=FOLDER installs wheels that its Python lacks
# make test-fast | lint | bench | build | clean

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Processes that run tests, each with one thread; one more takes about 3 GB.
WORKERS ?= 2
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)

.PHONY: demo test test-fast lint bench gpu build clean

demo: $(VENV)/.installed
	$(BIN)/weitiao demo

test: $(VENV)/.dev
	$(BIN)/weitiao fetch --quiet minilm-l6 smollm2-135m e5-small film-reviews reviews-zh alpaca-en alpaca-zh > /dev/null
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not whole" -n $(WORKERS) --dist worksteal

lint: $(VENV)/.dev
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.profile

# With the Python that is there: a torch for a GPU's driver is not ours to install.
gpu:
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m benchmarks.gpu $(if $(WHEELS),--wheels $(WHEELS))

build: $(VENV)/.dev
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) build dist *.egg-info src/*.egg-info

# torch first and alone: a plain requirement elsewhere would bring another build of it.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "weitiao needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==$(TORCH)
	touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml
	$(PIP) -e .
	touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml
	$(PIP) -e '.[dev]'
	touch $@ $(VENV)/.installed

$(VENV)/.bench: $(VENV)/.torch pyproject.toml
	$(PIP) -e '.[bench]'
	touch $@ $(VENV)/.installed
