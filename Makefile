# Two commands set everything up: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROCESSES ?= 2
export NO_ALBUMENTATIONS_UPDATE = 1

.PHONY: demo test lint install lock sbom clean

install: $(VENV)/installed

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# LOCKED=1: exactly the files of the lock, by their SHA-256 (Linux x86-64, CPython 3.11); else what fits this machine
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
ifdef LOCKED
	$(PIP) --require-hashes -r .ci/requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
else
	$(PIP) -e '.[dev]'
endif
	touch $@

# what pip would install now, without installing it
lock: install
	$(PIP) --dry-run --ignore-installed --only-binary :all: --report $(VENV)/report.json -e '.[dev]'
	$(BIN)/python .ci/lock.py $(VENV)/report.json > $(VENV)/requirements.lock
	mv $(VENV)/requirements.lock .ci/requirements.lock

# a bill of materials of the lock, in CycloneDX
sbom: install
	$(PIP) -e '.[sbom]'
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements .ci/requirements.lock --pyproject pyproject.toml --output-reproducible -o dist/sbom.json

# killed and started again, each of the three goes on where it was; what is done is not done again
demo: install
	$(BIN)/python run_chain.py example slides runs/slides
	$(BIN)/python run_chain.py prepare configs/slides.yaml runs/slides-patches
	$(BIN)/python run_chain.py run configs/slides.yaml runs/demo

# one thread each: the threads of two processes on two cores would wait for each other
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist worksteal

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
