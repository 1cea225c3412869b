# The only list of commands; `make help` prints it. CI calls `make test` and nothing else.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Stories of `make test` run in lanes, each on a cluster of its own (e2e/support/programs.py names the same ones).
CLUSTERS := slicewise slicewise-2
export SLICEWISE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/slicewise
export UV_SYSTEM_CERTS ?= 1
# With it, each process that a test starts compiles all that it loads: half of what a worker takes to start.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/.venv/bin:$(SLICEWISE_CACHE)/bin:$(PATH):$(SLICEWISE_CACHE)/uv/bin
.PHONY: help sync lock generate check-generated lint format models tools cluster cluster-down images image-worker-cuda load ready \
  test test-changed test-unit test-apiserver test-worker test-weights test-gateway test-jobs test-jobs-mysql test-cli test-argocd test-autoscalers test-gpu fuzz e2e soak soak-jobs demo bench clean

help: ## print this list
	@grep -hE '^[a-z0-9%-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

## Everyday

sync: .venv/.synced ## the virtual environment .venv, from locks/dev.txt (the first time llama.cpp compiles: minutes)
.venv/.synced: locks/dev.txt locks/build.txt locks/vulkan.txt pyproject.toml operator/pyproject.toml worker-image/pyproject.toml gateway/pyproject.toml jobs/pyproject.toml cli/pyproject.toml images/sync.sh images/llama-wheel.sh images/llama-backends.sh images/llama-cpus.sh
	@images/sync.sh

demo: sync ## cluster, chart, one pool, one chat answer, a good and a bad rollout; each step with its time
	@e2e/ready.sh demo && e2e/demo.sh

lint: sync ## ruff, mypy, the import contracts, the wording of the docs, and shellcheck and go vet where they are at hand
	@images/lint.sh

format: sync ## let ruff put imports, lines and quotes in order
	@ruff check --fix-only --quiet . && ruff format --quiet .

generate: sync ## write what is made from the code: CRD, chart values and schema, reference pages
	@python operator/tools/generate.py && python charts/tools/chart_files.py && python cli/tools/reference.py && python argocd/tools/values.py && python docs/tools/write_pages.py

check-generated: sync ## fail where a generated file is not what the models say
	@python operator/tools/generate.py --check && python charts/tools/chart_files.py --check && python cli/tools/reference.py --check && python argocd/tools/values.py --check && python docs/tools/write_pages.py --check

lock: ## write locks/*.txt anew from the pyproject.toml files (hashes, no addresses)
	@images/lock.sh

## Tests

test: sync ## everything that proves it: lint, then all tests on a real cluster; a failure hides no other
	@status=0; $(MAKE) lint || status=1; for cluster in $(CLUSTERS); do SLICEWISE_CLUSTER=$$cluster e2e/ready.sh || status=1; done; e2e/argocd/build.sh || status=1; \
	for cluster in $(CLUSTERS); do SLICEWISE_CLUSTER=$$cluster e2e/cluster/pause.sh on || status=1; done; \
	GOGC=400 pytest -n 5 --no-loadscope-reorder --durations=10 $(PYTEST_ARGS) || status=1; \
	for cluster in $(CLUSTERS); do SLICEWISE_CLUSTER=$$cluster e2e/cluster/pause.sh off || status=1; done; exit $$status

test-changed: sync tools models ## what a change can affect, without stories (SINCE=main: the commits since then too)
	@tests=$$(python e2e/affected.py --since "$(or $(SINCE),HEAD)"); [ -z "$$tests" ] || pytest $$tests $(PYTEST_ARGS)

test-unit: sync ## what needs no server (< 1 min)
	@pytest operator/tests/unit charts/tests cli/tests/unit argocd/tests docs/tests -m "not apiserver" $(PYTEST_ARGS)

test-apiserver: sync tools ## rules, server-side apply, reconciles and the snippets of the docs on a real API server
	@pytest operator/tests/apiserver operator/tests/wiring charts/tests/test_install.py docs/tests/test_snippets.py $(PYTEST_ARGS)

test-wiring: sync tools ## passes of the operator on a real API server, with faults and changes of leader
	@pytest operator/tests/wiring $(PYTEST_ARGS)

test-worker: sync tools models ## engine, weights and HTTP side on real llama.cpp and real servers
	@pytest worker-image/tests $(PYTEST_ARGS)

test-weights: sync ## slicewise-fetch against servers that really speak its protocols
	@e2e/servers/build.sh
	@pytest --confcutdir=worker-image/tests/weights worker-image/tests/weights $(PYTEST_ARGS)

test-gateway: sync tools ## the gateway's configuration and agent on real Envoy and a real API server
	@pytest gateway/tests $(PYTEST_ARGS)

test-jobs: sync tools ## the jobs on a real MariaDB, with kills
	@pytest jobs/tests $(PYTEST_ARGS)

test-jobs-mysql: sync tools ## the same on a MySQL, which comes from Debian unstable; without the failover, whose words are MariaDB's
	@images/mysql.sh >/dev/null
	@JOBS_DATABASE=mysql pytest jobs/tests --ignore jobs/tests/test_failover.py $(PYTEST_ARGS)

test-cli: sync tools ## kubectl slicewise on a real API server, through kubectl
	@pytest cli/tests $(PYTEST_ARGS)

test-argocd: sync tools ## health, buttons and self-heal in a real Argo CD beside an API server (it is built the first time: 7 minutes)
	@e2e/argocd/build.sh
	@pytest argocd/tests $(PYTEST_ARGS)

test-autoscalers: sync tools ## the documented HPA and ScaledObject on Kubernetes' own controller, with prometheus-adapter, KEDA and Prometheus (built the first time: half an hour)
	@e2e/autoscalers/build.sh
	@pytest -n 0 docs/tests/real_autoscalers.py $(PYTEST_ARGS)

test-gpu: sync ## the worker on a real GPU, with figures beside llama-server; without one it says so and fails
	@python worker-image/tests/gpu/real_gpu.py

FUZZ ?= 10000
fuzz: sync models ## the tests on random inputs with 10,000 each (FUZZ=): API, schemas, templates, tool calls, streams, model files, the engine; hours
	@images/clients.sh schemathesis >/dev/null
	@SLICEWISE_FUZZ=$(FUZZ) pytest worker-image/tests -m fuzz --timeout $(or $(FUZZ_SECONDS),7200) $(PYTEST_ARGS)

e2e: ready ## the stories, on the cluster
	@pytest e2e $(PYTEST_ARGS)

KILL_JOBS ?= 100000
KILLS ?= 200 20 20
SOAK_RESULT ?= benchmarks/soak/jobs.txt
soak-jobs: sync ## 100,000 jobs while dispatchers are killed 200 times, the API 20 and the database 20 times (KILL_JOBS=, KILLS=); a batch of 200 MiB; the last result is benchmarks/soak/jobs.txt
	@rm -f $(SOAK_RESULT); export SLICEWISE_SOAK_RESULT=$(SOAK_RESULT); \
	SLICEWISE_KILL_JOBS=$(KILL_JOBS) SLICEWISE_KILLS="$(KILLS)" SLICEWISE_FILE_MIB=200 \
	pytest -n 0 -s --timeout 14400 jobs/tests/test_kills.py jobs/tests/test_memory.py -k "whatever_is_killed or never_whole" $(PYTEST_ARGS)

soak: ready soak-jobs ## an hour without an operator: serving goes on, a killed worker comes back; the gateway rolled out twenty times under load; and soak-jobs
	@SLICEWISE_ABSENT_SECONDS=3600 SLICEWISE_GATEWAY_ROLL_OUTS=20 pytest e2e -k "without_an_operator or roll_out_of_the_gateway" $(PYTEST_ARGS)

## The local cluster

cluster: ## a kind cluster with zones a, b, c and two fake GPU slices a node; works without an image registry
	@e2e/cluster/up.sh

cluster-down: ## remove it, and those that `make test` makes beside it (what was built for them stays cached)
	@for cluster in $(CLUSTERS); do SLICEWISE_CLUSTER=$$cluster e2e/cluster/down.sh; done

images: ## the images of operator, worker, gateway and jobs
	@images/build.sh

image-worker-cuda: ## the worker's image with the backend for CUDA, slicewise-worker:VERSION-cuda (CUDA_ARCHITECTURES=; hours, goes on where it was ended)
	@images/build.sh worker-cuda

load: ## bring the images onto the cluster's nodes
	@e2e/cluster/load.sh slicewise-operator:0.1.0 slicewise-worker:0.1.0 slicewise-gateway:0.1.0 slicewise-jobs:0.1.0

models: sync ## make the model files of the tests and the demo (prints their paths)
	@python worker-image/models/make.py tiny wordy wordy-v2 wordy-slow

ready: sync ## all of these, and the model files served inside the cluster
	@e2e/ready.sh

tools: ## the programs that tests run: kube-apiserver, etcd, kubectl, kind, helm, the servers of the weights' tests
	@images/tools.sh

## Figures

bench-%: sync ## one suite of figures, as in bench-operator
	@PYTHONPATH=.:benchmarks:operator/tests:gateway/tests:jobs/tests python benchmarks/$*/run.py

bench: ## all suites
	@for suite in $$(ls benchmarks/*/run.py | xargs -n1 dirname | xargs -n1 basename); do $(MAKE) bench-$$suite; done

clean: ## remove what builds and tests left in this folder; caches and the cluster stay
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis e2e/artifacts
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
