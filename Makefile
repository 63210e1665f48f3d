# `make` lists the targets. Those that need the environment create it first, in .venv.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo "$$p" && break; done)
PORT ?= 5000
LOCKS := requirements.lock requirements-dev.lock
OUTPUTS := ingest validate clean tokenize rebalance train

SHELL := /bin/bash
.DEFAULT_GOAL := help
export MLFLOW_DISABLE_TELEMETRY ?= true
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export BASE ?= main

.PHONY: help repro test test-all lint env ui serve ablation search imbalance benchmark lock clean \
	retrain compare storage pull-request alert audit

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  %-14s%s\n' "$$name" "$$text"; done
	@echo 'Options of a command: make serve ARGS="--port 8001". All commands: python -m pipeline'

repro: env ## run the whole pipeline and register the model
	python -m pipeline params
	python -m pipeline recover
	dvc repro
	python -m pipeline publish

test: env ## run the tests, without the slow ones, and the examples in docstrings
	pytest
	pytest -q -n 0 --doctest-modules pipeline

test-all: env ## run all tests, including the slow ones (every packaged data set)
	pytest -m ""
	pytest -q -n 0 --doctest-modules pipeline

lint: env ## check style, types and imports
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache

env: .venv/installed ## create or update the environment in .venv

# Compiled once here: where bytecode is not written, every later import of TensorFlow would take 15 seconds longer.
.venv/installed: $(LOCKS)
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11, 3.12 or 3.13 found; install one, or name it: make PYTHON=..." >&2; exit 1; }
	test -x .venv/bin/python || "$(PYTHON)" -m venv .venv
	command -v uv >/dev/null || .venv/bin/python -m pip install --quiet "$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements-dev.lock)"
	uv pip sync --python .venv/bin/python --compile-bytecode $(LOCKS)
	touch $@

ui: env ## show the runs in the MLflow UI, at http://127.0.0.1:5000 (PORT=5001 for another port)
	@case "$${MLFLOW_TRACKING_URI:=sqlite:///mlflow.db}" in \
	http*) echo "The tracking server has its own UI, at MLFLOW_TRACKING_URI" ;; \
	*) echo "Runs: http://127.0.0.1:$(PORT)/#/experiments/1/runs?workflowType=machine_learning"; \
	   mlflow ui --backend-store-uri "$$MLFLOW_TRACKING_URI" --port $(PORT) ;; \
	esac

serve: env ## serve the champion over HTTP, with a page at http://127.0.0.1:8000 (docs/serving.md)
	python -m pipeline serve $(ARGS)

retrain: env ## take in new rows, retrain if needed, promote if better (docs/retraining.md)
	python -m pipeline retrain $(ARGS)

compare: env ## compare the model of this checkout with that of BASE (main), on a sample
	python -m pipeline compare "$$BASE" $(ARGS)

ablation: env ## measure what each part of the network is worth (docs/choosing.md)
	python -m pipeline ablation $(ARGS)

search: env ## search for better parameters (docs/choosing.md)
	python -m pipeline search $(ARGS)

imbalance: env ## compare the strategies against class imbalance (docs/imbalance.md)
	python -m pipeline imbalance $(ARGS)

benchmark: env ## measure the speed of training against plain Keras and PyTorch (docs/speed.md)
	python -m benchmarks.speed $(ARGS)

storage: env ## install what DVC needs for the remote STORAGE_URL (S3, GCS, Azure, SSH)
	case "$$STORAGE_URL" in *://*) uv pip install --python .venv/bin/python -r requirements-storage.lock ;; esac

pull-request: env ## in GitHub's CI: open a pull request for the results on retrain.branch
	branch="$$(python -m pipeline retrain --branch)" && base="$${GITHUB_REF_NAME:-main}"; \
	test -z "$$branch" || ! git rev-parse --quiet --verify "refs/remotes/origin/$$branch" || \
	git merge-base --is-ancestor "origin/$$branch" "origin/$$base" || \
	gh pr view "$$branch" --json state --jq .state | grep -qx OPEN || \
	gh pr create --base "$$base" --head "$$branch" --title "Retrained model" --body-file data/retrain.md

alert: ## in GitHub's CI: report WHAT in the one open issue for alerts
	run="$$GITHUB_SERVER_URL/$$GITHUB_REPOSITORY/actions/runs/$$GITHUB_RUN_ID"; \
	gh label create retraining --description "Alerts of nightly retraining" 2>/dev/null; \
	issue="$$(gh issue list --label retraining --json number --jq '.[0].number')"; \
	if [ -n "$$issue" ]; then gh issue comment "$$issue" --body "$(WHAT): $$run"; \
	else gh issue create --label retraining --title "$(WHAT)" --body "See $$run and docs/on-call.md."; fi

audit: env ## check the locked packages for known vulnerabilities (asks PyPI)
	for lock in requirements*.lock; do pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r "$$lock" || exit 1; done

lock: env ## update the lock files after a change of the dependencies in pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra datasets pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header -c requirements.lock --group dev -o requirements-dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header -c requirements.lock --group serve -o requirements-serve.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header -c requirements.lock --group storage -o requirements-storage.lock

clean: ## remove outputs, checkpoints and caches; keep .venv, the MLflow store and DVC's cache
	rm -rf $(addprefix data/,$(OUTPUTS)) reports/evaluate .state .mypy_cache .pytest_cache .ruff_cache
	find data/evaluate -type f ! -name metrics.json -delete
	find pipeline tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
