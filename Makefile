# The only list of commands; `make help` prints it. CI calls `make test` and nothing else.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export SLICEWISE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/slicewise
export PATH := $(CURDIR)/.venv/bin:$(SLICEWISE_CACHE)/bin:$(PATH)

help: ## print this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'
