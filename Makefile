# The only list of commands; `make help` prints it. CI calls `make test` and nothing else.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export SLICEWISE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/slicewise
export PATH := $(CURDIR)/.venv/bin:$(SLICEWISE_CACHE)/bin:$(PATH)

help: ## print this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

models: ## make the model files of the tests and the demo (prints their paths)
	@python worker-image/models/make.py tiny wordy wordy-v2

test-worker: models ## the engine and its HTTP side on real llama.cpp
	pytest worker-image/tests

generate: ## write the CRD, the chart's copy and the reference page from the models
	python operator/tools/generate.py

check-generated: ## fail where one of them is not what the models say
	python operator/tools/generate.py --check

test-apiserver: ## the schema on a real API server (etcd + kube-apiserver)
	pytest operator/tests/apiserver
