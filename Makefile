# Two commands set everything up: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROCESSES ?= 2
export NO_ALBUMENTATIONS_UPDATE = 1

.PHONY: demo test lint install clean

install: $(VENV)/installed

# --upgrade-strategy only-if-needed: an environment that already fits is left alone
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

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
