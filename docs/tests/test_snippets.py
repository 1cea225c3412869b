"""The snippets of the documentation work as they are written."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import uuid

import pytest
import samples
import yaml
from chart_values import ChartValues
from docpages.source_code import REPOSITORY
from program import PROGRAMS, put
from servers.control_plane import control_plane
from servers.definitions import established
from snippets import EVERY, PAGES, Snippet, loose, snippets
from typer.testing import CliRunner

from slicewise_cli.app import app

KINDS = ("yaml", "yaml of ", "bash run", "bash needs ", "python client", "bash jobs", "python jobs", "text", "")
INSTALLING = REPOSITORY / "docs/install.md"
POOLS = "/apis/slicewise.dev/v1alpha1/namespaces/default/inferencepools?dryRun=All&fieldValidation=Strict"
SETTLED = """
settled() {  # until the API server serves the kind, where it has the definition: Helm does not wait for that
  until kubectl get inferencepools.slicewise.dev >/dev/null 2>&1 ||
    ! kubectl get crd inferencepools.slicewise.dev >/dev/null 2>&1; do sleep 0.2; done
}
"""


def known(info):
    return any(info == kind or (kind.endswith(" ") and info.startswith(kind) and info != kind) for kind in KINDS)


def of(*infos):
    return [snippet for snippet in EVERY if snippet.info in infos]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An API server with the chart, and so with the definition."""
    with control_plane(tmp_path_factory.mktemp("control-plane")) as running:
        helm(running, "install", "slicewise", str(REPOSITORY / "charts/slicewise"), "--create-namespace")
        established(running, "inferencepools.slicewise.dev")
        yield running


def helm(server, *words):
    command = [server.bin / "helm", f"--kubeconfig={server.kubeconfig}", "-n", "slicewise-system", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_every_block_says_what_a_test_does_with_it():
    assert [f"{snippet}: {snippet.info}" for snippet in EVERY if not known(snippet.info)] == []


def test_no_command_and_no_yaml_is_outside_of_a_block():
    assert [line for page in PAGES for line in loose(page)] == []


def test_blocks_and_loose_commands_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("1. x\n\n   ```bash run\n   a\n     b\n   ```\n\n    kubectl get pods\n    gateway:\n")
    assert [(each.line, each.info, each.text) for each in snippets(page)] == [(3, "bash run", "a\n  b\n")]
    assert len(loose(page)) == 2
    page.write_text("```bash run\n")
    with pytest.raises(ValueError, match="does not end"):
        list(snippets(page))


def pools_of(text):
    """The pools of a block, a fragment put into the smallest one; objects of other kinds have to be whole."""
    smallest = yaml.safe_load((REPOSITORY / "docs/examples/minimal.yaml").read_text())
    for document in yaml.safe_load_all(text):
        if set(document) == {"spec"}:
            yield {**smallest, "spec": smallest["spec"] | document["spec"]}
        elif document.get("kind") == "InferencePool":
            yield document
        elif set(document) != {"configs"}:  # the values of Argo CD, which argocd/tests run
            assert {"apiVersion", "kind", "metadata"} <= set(document), document


@pytest.mark.apiserver
def test_the_api_server_takes_every_pool(server):
    refused, taken = [], 0
    for snippet in of("yaml"):
        for pool in pools_of(snippet.text):
            code, answer = server.request("POST", POOLS, pool)
            taken += code == 201
            if code != 201:
                refused.append(f"{snippet}: {answer.get('message')}")
    assert refused == []
    assert taken > 3


@pytest.mark.apiserver
@pytest.mark.parametrize("spec", [{"replicaz": 1}, {"gateway": {"limits": {"maxBodyBytes": "1Ti"}}}])
def test_a_pool_that_is_wrong_is_found(server, spec):
    (pool,) = pools_of(yaml.safe_dump({"spec": spec}))
    assert server.request("POST", POOLS, pool)[0] in {400, 422}


@pytest.mark.parametrize("snippet", of("yaml of values"), ids=str)
def test_values_are_values_of_the_chart(snippet):
    ChartValues.model_validate(yaml.safe_load(snippet.text))


@pytest.mark.parametrize("snippet", [each for each in EVERY if each.info.startswith("yaml of ")], ids=str)
def test_a_part_of_another_object_is_yaml(snippet):
    assert all(isinstance(each, dict) for each in yaml.safe_load_all(snippet.text))


@pytest.mark.parametrize("snippet", [each for each in EVERY if each.info.startswith("bash ")], ids=str)
def test_a_command_is_valid_shell(snippet):
    done = subprocess.run(["bash", "-n"], input=snippet.text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def folder_like_the_repository(directory):
    """A folder to run commands in as in a clone: what they write stays out of the real one."""
    directory.mkdir()
    for path in REPOSITORY.iterdir():
        if path.name in {"argocd", "charts", "cli", "crds", "docs", "operator"}:
            (directory / path.name).symlink_to(path)
    return directory


def environment(server, directory, namespace):
    """kubectl in the namespace, and helm without `--wait`: no node runs the pods here."""
    programs = directory / "programs"
    programs.mkdir()
    words = 'words=(); for word; do [ "$word" = --wait ] || words+=("$word"); done'
    (programs / "helm").write_text(f'#!/bin/bash\n{words}\nexec {server.bin}/helm "${{words[@]}}"\n')
    (programs / "helm").chmod(0o755)
    config = json.loads(server.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = namespace
    (directory / "kubeconfig").write_text(json.dumps(config))
    path = f"{programs}:{PROGRAMS}:{server.bin}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(directory), "KUBECONFIG": str(directory / "kubeconfig"), "LANG": "C.UTF-8"}


PLUGIN = "kubectl slicewise "


def plugin_calls(text):
    """The arguments of each line, where a block has nothing but calls of the plugin; else None."""
    if not all(line.startswith(PLUGIN) for line in text.splitlines()):
        return None
    return [shlex.split(line.removeprefix(PLUGIN), comments=True) for line in text.splitlines()]


def run(server, directory, namespace, commands: list[Snippet]):
    """Run the blocks of a page in their order, as a reader would who follows it; return what failed, or an empty text."""
    env = environment(server, directory, namespace)
    clone = folder_like_the_repository(directory / "clone")
    for snippet in commands:
        calls = plugin_calls(snippet.text)
        failed = in_shell(snippet, env, clone) if calls is None else in_process(calls, env)
        if failed:
            return f"{snippet}: {failed}"
    return ""


def in_shell(snippet, env, clone):
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{SETTLED}\n{snippet.text}\nsettled"],
        cwd=clone, env=env, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    return "" if done.returncode == 0 else f"{done.stdout[-1000:]}\n{done.stderr[-2000:]}"


def in_process(calls, env):
    """The plugin's calls without a new interpreter for each, which takes a second. Its client reads KUBECONFIG once."""
    for words in calls:
        done = CliRunner().invoke(app, [*words, "--kubeconfig", env["KUBECONFIG"]], env=env)
        if done.exit_code != 0:
            return f"{PLUGIN}{' '.join(words)}: {done.output[-1000:]} {done.exception!r}"
    return ""


@pytest.mark.apiserver
@pytest.mark.parametrize("command", ["kubectl get nothing-of-this-name", "kubectl slicewise get nothing-of-this-name"])
def test_a_command_that_fails_is_found(server, tmp_path, command):
    snippet = Snippet(REPOSITORY / "README.md", 7, "bash run", f"{command}\n")
    assert run(server, tmp_path, "default", [snippet]).startswith("README.md:7: ")


def runnable():
    """The pages with commands; the one that installs, and takes away what it installed, is the last."""
    found = {page: [each for each in snippets(page) if each.info == "bash run"] for page in PAGES}
    return sorted(((page, each) for page, each in found.items() if each), key=lambda item: item[0] == INSTALLING)


@pytest.mark.apiserver
@pytest.mark.parametrize(("page", "commands"), runnable(), ids=lambda value: getattr(value, "name", ""))
def test_the_commands_of_a_page_run_as_they_are_written(server, tmp_path, page, commands):
    namespace = f"t-{uuid.uuid4().hex[:10]}"
    server.kubectl("create", "namespace", namespace)
    if page == INSTALLING:
        helm(server, "uninstall", "slicewise")
        server.kubectl("delete", "crd", "inferencepools.slicewise.dev")
    else:
        put(server, samples.rolling(verdict=samples.VERDICT), namespace)
        for pod in samples.workers():
            put(server, pod, namespace)
    assert run(server, tmp_path, namespace, commands) == ""
