# What a stranger needs: make demo, make up, make test. The first of them makes .venv from the locks, with hashes.

PYTHON ?= python3
BIN := .venv/bin
SET_UP := .venv/.set-up
UV := $(BIN)/uv
VLLM := .venv-vllm/.set-up
CLIENTS := .clients/.set-up
HELM := .tools/helm

.PHONY: help set-up demo up test test-slow test-vllm test-s3 test-deploy test-clients cluster cluster-up check bench bench-scale lock lock-image clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    install, start a stack of its own, stream one answer, show its charge, stop"
	@echo "make up      install, and run the stack in .penstock until Ctrl-C   (ARGS='--port 9000')"
	@echo "make test    install, and run the tests that need no server from outside"
	@echo "make test-slow    run the rest of them: kills at every other moment, clients of every age, a few minutes"
	@echo "make test-vllm     install vLLM for the CPU (5 GB), and run the tests against real ones, two of them behind Ray Serve"
	@echo "make test-s3       run the object storage's tests against a real SeaweedFS"
	@echo "make test-deploy   build Helm, and hold the chart to the code and to Kubernetes' schemas; needs Go"
	@echo "make test-clients  install Claude Code, and run the tests with it"
	@echo "make cluster       run compose.yaml's topology without Docker, three Kafka nodes and all, and kill what it has"
	@echo "make cluster-up    run it until Ctrl-C"
	@echo "make check   ruff, mypy and the laws of the house"
	@echo "make bench   how fast it is here"
	@echo "make bench-scale   what a stream costs when parts have more processes"
	@echo "make lock    resolve every dependency anew"

set-up: $(SET_UP)

$(SET_UP): requirements/uv.lock requirements/penstock.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it: make PYTHON=python3.12")'
	@echo "making .venv"
	@test -x $(UV) || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes -r requirements/uv.lock; }
	$(UV) pip sync --python $(BIN)/python --require-hashes requirements/penstock.lock
	$(UV) pip install --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $(SET_UP)

demo: $(SET_UP)
	@$(BIN)/penstock demo

up: $(SET_UP)
	@$(BIN)/penstock up $(ARGS)

test: $(SET_UP)
	@$(BIN)/python -m storage.local.kafka_install
	$(BIN)/python -m pytest --ignore=tests/integration -m "not slow" -n 2 --dist loadfile $(ARGS)

test-slow: $(SET_UP)
	@$(BIN)/python -m storage.local.kafka_install
	$(BIN)/python -m pytest --ignore=tests/integration -m slow -n 2 --dist loadfile $(ARGS)

test-vllm: $(SET_UP) $(VLLM)
	@$(BIN)/python -m storage.local.kafka_install
	$(BIN)/python -m pytest tests/integration/vllm/test_vllm.py $(ARGS)
	$(BIN)/python -m pytest tests/integration/vllm/test_vllm_embeddings.py tests/integration/vllm/test_schemas.py $(ARGS)
	$(BIN)/python -m pytest tests/integration/ray_serve $(ARGS)

# An environment of its own: what vLLM pins and what Penstock needs do not go together.
$(VLLM): requirements/vllm.lock | $(SET_UP)
	@test -x .venv-vllm/bin/python || $(UV) venv --quiet --python $(BIN)/python .venv-vllm
	$(UV) pip sync --python .venv-vllm/bin/python --require-hashes requirements/vllm.lock
	@touch $(VLLM)

test-s3: $(SET_UP)
	$(BIN)/python -m pytest tests/integration/seaweedfs $(ARGS)

test-deploy: $(SET_UP) $(HELM)
	$(BIN)/python -m pytest tests/integration/deploy $(ARGS)

# The version stands in the file, so that another one is built when it changes.
$(HELM): requirements/helm
	GOBIN=$(CURDIR)/.tools go install $$(cat requirements/helm)
	@touch $(HELM)

test-clients: $(SET_UP) $(CLIENTS)
	@$(BIN)/python -m storage.local.kafka_install
	$(BIN)/python -m pytest tests/integration/test_claude_code.py $(ARGS)

$(CLIENTS): requirements/clients/package.json requirements/clients/package-lock.json
	@mkdir -p .clients && cp requirements/clients/package.json requirements/clients/package-lock.json .clients
	npm ci --prefix .clients --ignore-scripts --no-audit --no-fund
	@node .clients/node_modules/@anthropic-ai/claude-code/install.cjs
	@touch $(CLIENTS)

cluster: $(SET_UP)
	@$(BIN)/python -m storage.local.kafka_install
	$(BIN)/python -m pytest tests/integration/cluster $(ARGS)

cluster-up: $(SET_UP)
	@$(BIN)/python -m storage.local.kafka_install
	@$(BIN)/python -m tests.integration.cluster

check: $(SET_UP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(SET_UP)
	@$(BIN)/python -m benchmarks $(ARGS)

bench-scale: $(SET_UP)
	@$(BIN)/python -m benchmarks scale $(ARGS)

lock: $(SET_UP)
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		-o requirements/uv.lock requirements/uv.in
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		--overrides requirements/overrides.txt --extra embedded --extra dev -o requirements/penstock.lock pyproject.toml
	$(MAKE) lock-image
	@for clients in $(basename $(wildcard requirements/openai-*.in requirements/anthropic-*.in)); do \
		$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
			-o $$clients.lock $$clients.in || exit 1; \
	done
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		--overrides requirements/vllm-overrides.txt -o requirements/vllm.lock requirements/vllm.in
	$(BIN)/python -m storage.local.jar_lock
	cd requirements/clients && npm install --package-lock-only --ignore-scripts --no-audit --no-fund \
		--omit-lockfile-registry-resolved

# What the image installs: of the versions just locked, those that a part needs, without and with the small models.
lock-image: $(SET_UP)
	@for extra in "" models; do \
		$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
			--overrides requirements/overrides.txt --constraint requirements/penstock.lock $${extra:+--extra $$extra} \
			-o requirements/runtime$${extra:+-$$extra}.lock pyproject.toml || exit 1; \
	done

clean:
	rm -rf .venv .venv-vllm .clients .tools
