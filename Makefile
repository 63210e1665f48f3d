# make repro: the whole pipeline. make test: the tests (make test-all: the slow ones too). All make the environment first, in .venv.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo "$$p" && break; done)
PORT ?= 5000
LOCKS := requirements.lock requirements-dev.lock
OUTPUTS := ingest validate clean tokenize rebalance train

SHELL := /bin/bash
export MLFLOW_DISABLE_TELEMETRY ?= true
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: repro test test-all lint env ui serve ablation search imbalance benchmark lock clean \
	retrain compare storage pull-request alert audit

repro: env
	python -m pipeline params
	python -m pipeline recover
	dvc repro
	python -m pipeline publish

test: env
	pytest

test-all: env
	pytest -m ""

lint: env
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache

# Training beside textbook Keras and PyTorch, see docs/speed.md: make benchmark ARGS="--rounds 3"
benchmark: env
	python -m benchmarks.speed $(ARGS)

env: .venv/installed

# Compiled once here: where bytecode is not written, every later import of TensorFlow would cost 15 seconds more.
.venv/installed: $(LOCKS)
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11, 3.12 or 3.13 found; install one, or name it: make PYTHON=..." >&2; exit 1; }
	test -x .venv/bin/python || "$(PYTHON)" -m venv .venv
	command -v uv >/dev/null || .venv/bin/python -m pip install --quiet "$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements-dev.lock)"
	uv pip sync --python .venv/bin/python --compile-bytecode $(LOCKS)
	touch $@

ui: env
	@case "$${MLFLOW_TRACKING_URI:=sqlite:///mlflow.db}" in \
	http*) echo "The tracking server has a UI of its own, at MLFLOW_TRACKING_URI" ;; \
	*) echo "Runs: http://127.0.0.1:$(PORT)/#/experiments/1/runs?workflowType=machine_learning"; \
	   mlflow ui --backend-store-uri "$$MLFLOW_TRACKING_URI" --port $(PORT) ;; \
	esac

# The champion over HTTP, and a page to try it, at http://127.0.0.1:8000: docs/serving.md. ARGS="--port 8001" passes options.
serve: env
	python -m pipeline serve $(ARGS)

# Networks compared, and better parameters looked for, on the validation rows: docs/choosing.md. ARGS="--seeds 0" passes options.
ablation: env
	python -m pipeline ablation $(ARGS)

search: env
	python -m pipeline search $(ARGS)

# Strategies against imbalance compared, as DVC experiments: docs/imbalance.md. ARGS="--skew none 10" passes options.
imbalance: env
	python -m pipeline imbalance $(ARGS)

# New rows in, a judged model out: docs/retraining.md. ARGS="--dry-run" says what would happen.
retrain: env
	python -m pipeline retrain $(ARGS)

# What this checkout changes in the model, beside BASE, on a sample: reports/compare/comparison.md.
export BASE ?= main
compare: env
	python -m pipeline compare "$$BASE" $(ARGS)

# What DVC needs for a remote that is no folder: S3, GCS, Azure or SSH, by STORAGE_URL.
storage: env
	case "$$STORAGE_URL" in *://*) uv pip install --python .venv/bin/python -r requirements-storage.lock ;; esac

# For retraining in GitHub's CI: a pull request where retrain.branch has results that wait, and one open issue for all alerts.
pull-request: env
	branch="$$(python -m pipeline retrain --branch)" && base="$${GITHUB_REF_NAME:-main}"; \
	test -z "$$branch" || ! git rev-parse --quiet --verify "refs/remotes/origin/$$branch" || \
	git merge-base --is-ancestor "origin/$$branch" "origin/$$base" || \
	gh pr view "$$branch" --json state --jq .state | grep -qx OPEN || \
	gh pr create --base "$$base" --head "$$branch" --title "Retrained model" --body-file data/retrain.md

alert:
	run="$$GITHUB_SERVER_URL/$$GITHUB_REPOSITORY/actions/runs/$$GITHUB_RUN_ID"; \
	gh label create retraining --description "Alerts of nightly retraining" 2>/dev/null; \
	issue="$$(gh issue list --label retraining --json number --jq '.[0].number')"; \
	if [ -n "$$issue" ]; then gh issue comment "$$issue" --body "$(WHAT): $$run"; \
	else gh issue create --label retraining --title "$(WHAT)" --body "See $$run and docs/on-call.md."; fi

# Known vulnerabilities of what is locked; asks PyPI, and fails where that does not know a package.
audit: env
	for lock in requirements*.lock; do pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r "$$lock" || exit 1; done

# After a change of the dependencies in pyproject.toml.
lock: env
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra datasets pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header -c requirements.lock --group dev -o requirements-dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header -c requirements.lock --group serve -o requirements-serve.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header -c requirements.lock --group storage -o requirements-storage.lock

# The stages' outputs, checkpoints and finished studies; the environment, the MLflow store and DVC's cache stay.
clean:
	rm -rf $(addprefix data/,$(OUTPUTS)) reports/evaluate .state .mypy_cache .pytest_cache .ruff_cache
	find data/evaluate -type f ! -name metrics.json -delete
	find pipeline tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
