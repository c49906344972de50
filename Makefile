# Two commands matter: `make demo` and `make test`. Both set up `.venv` first, once.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := test,dev,huggingface
# The first Python ≥ 3.11 on the path; choose another with `make PYTHON=/path/to/python …`.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check

# No tests or demos may depend on what lies in a developer's environment.
unexport PYTHONPATH
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install demo test test-integrations lint format bench docs clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

install: $(STAMP) ## Set up .venv with the pinned versions (the others do this by themselves)

# torch first and by itself: its pinned version is then settled before anything else asks for it, and pip prefers
# a CPU build where one is at hand.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; name one with make PYTHON=…" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "cannot create $(VENV); on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@echo "Installing into $(VENV) (once; a few minutes) …"
	@$(PIP) install -qq "$$(grep -E '^torch==' constraints.txt)"
	@$(PIP) install -qq --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(STAMP) ## Tune, fan out, judge, draw: the whole story in a few minutes
	@$(BIN)/hptransfer run sweeps/quickstart.yaml --results results/demo
	@echo "        (hptransfer lies in $(BIN); source $(BIN)/activate puts it on the path)"

# One process more than there are cores, at most four, each with one thread: tests that wait for Ray or for a process they killed leave
# theirs idle.
test: $(STAMP) ## Run all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $$(( $$(getconf _NPROCESSORS_ONLN) < 4 ? $$(getconf _NPROCESSORS_ONLN) + 1 : 4 )) --dist worksteal

# By themselves, since these libraries are heavy and nothing else wants them.
test-integrations: $(STAMP) ## Train with Lightning and with Hugging Face's Trainer, which it installs
	@$(BIN)/python -c 'import accelerate, lightning' 2>/dev/null || $(PIP) install -qq --editable '.[integrations]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/integrations

lint: $(STAMP) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## Put the sources into the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## Measure against the plain baseline; writes results/benchmarks
	$(BIN)/python -m benchmarks

docs: $(STAMP) ## Build the documentation into site/
	@$(BIN)/python -c 'import material' 2>/dev/null || $(PIP) install -qq --editable '.[docs]'
	$(BIN)/mkdocs build --strict

clean: ## Remove what builds and checks left behind (keeps .venv and results)
	rm -rf build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find hptransfer tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
