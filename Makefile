# Everything runs in .venv, which the first target makes; `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# How many processes pytest runs in; each then keeps to one thread.
WORKERS ?= 2
PYTEST = OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS)

.DEFAULT_GOAL := help
.PHONY: help demo test test-cluster lint docs readme soak bench-table1 bench-ablation bench-past bench-recipes bench-ctr-speed bench-encoder bench-ground bench-workers bench-step bench-solver bench-scale bench-serve bench-cost soak-serve clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | awk -F '\t' '{printf "  make %-17s%s\n", $$1, $$2}'

$(INSTALLED): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { \
	    echo "there is no $(PYTHON) here; name a Python 3.11 or newer: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "textrec needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12" >&2; \
	    exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

demo: $(INSTALLED) ## the whole way on the built-in sample: measure, train, recommend, place a new text
	$(BIN)/textrec demo --out demo-model

lint: $(INSTALLED) ## style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

test: lint ## lint, then the tests with their coverage (at least 90 %)
	$(PYTEST) -m "not soak" --cov --cov-report=term-missing:skip-covered

soak: $(INSTALLED) ## all tests, the long forms too
	$(PYTEST)

test-cluster: $(INSTALLED) ## install Ray and run the tests of training and ranking on several processes
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ray]'
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/test_cluster.py tests/test_cluster_ray.py

docs: $(INSTALLED) ## the documentation site, into site/; every warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open site/index.html"

readme: $(INSTALLED) ## write the tables of README and results, the paired tests and the drawing of cost from the committed runs
	$(BIN)/python benchmarks/readme.py
	$(BIN)/python benchmarks/readme.py pairs
	$(BIN)/python benchmarks/cost.py --models

benchmarks/vectors: | $(INSTALLED)
	$(BIN)/textrec pretrain "$${TEXTREC_DATA:-../shared/data}/corpus/abstracts.txt.xz" --out $@

bench-table1: $(INSTALLED) benchmarks/vectors ## measure every model on the public data in $TEXTREC_DATA; goes on where it was
	$(BIN)/textrec experiment table1 --out benchmarks/runs/table1

bench-ablation: $(INSTALLED) benchmarks/vectors benchmarks/gru ## measure what each part is worth
	$(BIN)/textrec experiment ablation --out benchmarks/runs/ablation --adopt benchmarks/runs/table1

benchmarks/gru: benchmarks/vectors
	$(BIN)/textrec pretrain "$${TEXTREC_DATA:-../shared/data}/corpus/abstracts.txt.xz" --gru --word-vectors benchmarks/vectors --out $@

bench-past: $(INSTALLED) benchmarks/vectors ## measure pre-trained encoders, kernels and blends; goes on where it was
	$(BIN)/textrec experiment past --out benchmarks/runs/past

bench-recipes: $(INSTALLED) benchmarks/vectors ## the paper's recipe against exact: tokens and seconds to Recall@50 = 0.40
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/recipes.py

bench-ctr-speed: $(INSTALLED) ## time CTR against Cornac, which gets an environment of its own
	test -d .venv-cornac || $(PYTHON) -m venv .venv-cornac
	.venv-cornac/bin/pip install --quiet --disable-pip-version-check -r benchmarks/cornac-requirements.txt
	$(BIN)/python benchmarks/ctr_speed.py --cornac .venv-cornac/bin/python

bench-encoder: $(INSTALLED) ## throughput of the GRU encoder beside the dense product, on a quiet machine
	$(BIN)/python benchmarks/encoder_speed.py

bench-cost: $(INSTALLED) benchmarks/vectors ## reading speed and size of every model, beside Recall and seconds of the runs; table and drawing
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/cost.py

bench-ground: $(INSTALLED) ## time reading, splitting, ranking and the start of the command line
	$(BIN)/python benchmarks/ground.py

bench-workers: $(INSTALLED) ## two worker processes against two threads, and what experiment chooses; on a quiet machine
	$(BIN)/python benchmarks/workers.py

bench-step: $(INSTALLED) ## time the encoder step against the number of users
	$(BIN)/python benchmarks/step.py

bench-solver: $(INSTALLED) ## time the exact solves
	$(BIN)/python benchmarks/solver.py

bench-scale: $(INSTALLED) ## how far one machine goes: 5·10^7 likes, 10^7 tokens, 10^6 users × 10^6 items; goes on where it was
	$(BIN)/python benchmarks/scale.py

bench-serve: $(INSTALLED) ## the service under load, the time of a cold text, the recall of the index; on a quiet machine
	test -d benchmarks/models/embed || $(BIN)/textrec train citeulike-a-titles --model embed --out benchmarks/models/embed
	test -d benchmarks/models/gru-mtl || $(BIN)/textrec train citeulike-a-abstracts --model gru-mtl --epochs 2 --validate none --out benchmarks/models/gru-mtl
	$(BIN)/python benchmarks/serve_load.py benchmarks/models/embed --cold benchmarks/models/gru-mtl
	$(BIN)/python benchmarks/retrieval.py benchmarks/models/embed

soak-serve: $(INSTALLED) ## bad requests, kill -9 and reloads in their long forms; $TEXTREC_TEST_POSTGRES adds PostgreSQL
	TEXTREC_RECORD=benchmarks/results/serve_soak.json $(BIN)/pytest -m soak tests/test_serve_hostile.py tests/test_serve_running.py

clean: ## remove .venv and everything that was made
	rm -rf $(VENV) demo-model site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
