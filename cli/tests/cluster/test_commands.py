"""The commands against a real API server: what they say and write, and once each way, through kubectl as a plugin."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import samples
import yaml
from builders import MIG
from program import PROGRAMS, Cli, environment, put
from servers.control_plane import ApiServer, wait_until
from unit.test_cost import COST

from slicewise.api.labels import ANNOTATION_REQUEST
from slicewise.api.v1alpha1 import InferencePool, parse_pool
from slicewise.pool.revision import revision_hash, revision_inputs

pytestmark = pytest.mark.apiserver


def read(server: ApiServer, namespace: str, name: str = "chat") -> dict[str, Any]:
    code, pool = server.request("GET", f"/apis/slicewise.dev/v1alpha1/namespaces/{namespace}/inferencepools/{name}")
    assert code == 200, pool
    return dict(pool)


def request_on(server: ApiServer, namespace: str) -> str | None:
    return (read(server, namespace)["metadata"].get("annotations") or {}).get(ANNOTATION_REQUEST)


def test_get_shows_the_tree_in_plain_text_without_a_terminal(
    api_server: ApiServer, namespace: str, plugin: Cli
) -> None:
    put(api_server, samples.rolling(verdict=samples.VERDICT), namespace)
    for pod in samples.workers():
        put(api_server, pod, namespace)
    shown = plugin("get", "chat").stdout
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", shown)
    for words in (
        "Analysing, step 1 of 2",
        "31 requests so far",
        "1 of 30 are above 600ms",
        f"revision {samples.CANARY}  canary",
    ):
        assert words in shown
    assert "ImagePullBackOff" in shown


def test_get_without_a_name_lists_the_pools(api_server: ApiServer, namespace: str, cli: Cli) -> None:
    assert cli("get").stdout == f"no pools in namespace {namespace}\n"
    put(api_server, samples.rolling(), namespace)
    header, line = cli("get").stdout.splitlines()
    assert header.split()[:4] == ["NAME", "MODEL", "REVISION", "READY"]
    assert "Analysing 1/2 5%" in line
    assert any(line.startswith(f"{namespace}  chat") for line in cli("get", "-A").stdout.splitlines())


@pytest.mark.parametrize(("form", "parse"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_data_comes_as_json_and_yaml(api_server: ApiServer, namespace: str, cli: Cli, form: str, parse: Any) -> None:
    put(api_server, samples.rolling(verdict=samples.VERDICT), namespace)
    pool = parse(cli("get", "chat", "-o", form).stdout)
    assert pool["rollout"]["verdict"]["evidence"]["slowBelow"] == 2.9
    assert parse(cli("get", "-o", form).stdout)[0]["name"] == "chat"
    assert parse(cli("explain", "chat", "-o", form).stdout)["points"][0]["what"].startswith("rollout of revision")
    asked = parse(cli("pause", "chat", "-o", form).stdout)
    assert asked["annotation"] == f"pause:{samples.CANARY}:{samples.STARTED}"


@pytest.mark.parametrize(
    ("action", "rollout", "rest"),
    [
        ("promote", {}, ""),
        ("abort", {}, ""),
        ("pause", {}, ""),
        ("resume", {"paused": True}, ""),
        ("skip-step", {"step": 1}, ":1"),
        ("retry", {"phase": "RolledBack"}, ""),
    ],
)
def test_an_action_writes_one_annotation_and_nothing_else(
    api_server: ApiServer, namespace: str, cli: Cli, action: str, rollout: dict[str, Any], rest: str
) -> None:
    before = put(api_server, samples.rolling(**rollout), namespace)
    said = cli(action, "chat").stdout
    assert f"{action} is requested" in said
    after = read(api_server, namespace)
    assert request_on(api_server, namespace) == f"{action}:{samples.CANARY}:{samples.STARTED}{rest}"
    assert (after["spec"], after["status"], after["metadata"]["generation"]) == (
        before["spec"],
        before["status"],
        before["metadata"]["generation"],
    )
    mark = api_server.audit_mark()
    assert "already" in cli(action, "chat").stdout
    assert [event for event in api_server.audit_events(mark) if event["verb"] == "patch"] == []


@pytest.mark.parametrize("action", ["promote", "abort", "retry", "pause", "resume", "skip-step"])
def test_an_action_without_a_rollout_is_refused_with_a_sentence(
    api_server: ApiServer, namespace: str, cli: Cli, action: str
) -> None:
    put(api_server, samples.idle(), namespace)
    refused = cli(action, "chat", code=1)
    assert refused.stdout == ""
    assert refused.stderr.startswith("error: pool chat: no rollout is under way")
    assert request_on(api_server, namespace) is None


def store(server: ApiServer, namespace: str, number: int, spec_of: dict[str, Any]) -> str:
    parsed = parse_pool(spec_of)
    assert isinstance(parsed, InferencePool)
    inputs = revision_inputs(parsed.spec)
    put(server, samples.revision(number, revision_hash(inputs), **inputs), namespace)
    return revision_hash(inputs)


def test_undo_goes_back_to_the_revision_before_and_says_what_it_changes(
    api_server: ApiServer, namespace: str, cli: Cli, plugin: Cli
) -> None:
    old, new = samples.idle(model=samples.model("a")), samples.idle(model=samples.model("b"), replicas=5)
    first, second = store(api_server, namespace, 1, old), store(api_server, namespace, 2, new)
    new["status"]["revisions"] = {"stable": second}
    put(api_server, new, namespace)
    listed = cli("history", "chat").stdout
    assert [line.split()[:3] for line in listed.splitlines()[1:]] == [["1", first, "-"], ["2", second, "stable"]]
    assert "would go back to revision 1" in cli("undo", "chat", "--dry-run").stdout
    assert read(api_server, namespace)["spec"]["model"]["source"].endswith("b.gguf")
    done = plugin("undo", "chat")
    assert "spec.model.source" in done.stdout
    assert done.stderr == ""
    after = parse_pool(read(api_server, namespace))
    assert isinstance(after, InferencePool)
    assert revision_hash(revision_inputs(after.spec)) == first
    assert after.spec.replicas == 5
    assert "--to-revision 7 is not kept; there are: 1, 2" in cli("undo", "chat", "--to-revision", "7", code=1).stderr


def test_undo_warns_where_git_brings_the_pool(api_server: ApiServer, namespace: str, cli: Cli) -> None:
    old, new = samples.idle(model=samples.model("a")), samples.idle(model=samples.model("b"))
    store(api_server, namespace, 1, old)
    new["status"]["revisions"] = {"stable": store(api_server, namespace, 2, new)}
    put(api_server, samples.changed(new, annotations={"argocd.argoproj.io/tracking-id": "pools:x"}), namespace)
    assert "Argo CD manages pool chat from Git" in cli("undo", "chat").stderr


def test_cost_shows_one_pool_or_all_and_a_pool_without_figures_says_so(
    api_server: ApiServer, namespace: str, cli: Cli
) -> None:
    pool = samples.idle()
    pool["status"]["cost"] = COST
    put(api_server, pool, namespace)
    assert "per 1,000 requests  2.00  (180000 answered)" in cli("cost", "chat").stdout
    header, row = cli("cost").stdout.splitlines()[:2]
    assert header.startswith("NAME  PER HOUR")
    assert row.split()[:3] == ["chat", "1.05", "361.50"]
    assert json.loads(cli("cost", "chat", "-o", "json").stdout)["pool"]["perMillionTokens"] == 8.0
    assert "does not exist" in cli("cost", "cat", code=1).stderr

    put(api_server, samples.idle() | {"metadata": {"name": "free", "namespace": namespace}}, namespace)
    assert "costs are not counted" in cli("cost", "free").stdout


def test_jobs_of_a_pool_that_takes_none_or_whose_api_is_away_are_told(
    api_server: ApiServer, namespace: str, cli: Cli
) -> None:
    put(api_server, samples.idle(), namespace)
    assert "pool chat takes no jobs: it has no spec.jobs" in cli("jobs", "chat", code=1).stderr
    jobs = samples.idle() | {"metadata": {"name": "jobs", "namespace": namespace}}
    jobs["spec"] = {**jobs["spec"], "jobs": {"databaseSecretRef": {"name": "jobs-db"}}}
    put(api_server, jobs, namespace)
    away = "pool jobs: no pod of its API of jobs is ready. The operator has not looked yet."
    for words in ((), ("--retry", "job_1"), ("--cancel", "job_1")):
        assert away in cli("jobs", "jobs", *words, code=1).stderr
    assert "is no id of a job" in cli("jobs", "jobs", "--cancel", "../x", code=1).stderr
    assert "cannot be given together" in cli("jobs", "jobs", "--cancel", "a", "--retry", "b", code=2).stderr


def test_slices_are_a_map_of_nodes_and_pods(api_server: ApiServer, namespace: str, cli: Cli) -> None:
    for zone in "xy":
        put(api_server, samples.node(zone), namespace)
    put(api_server, samples.worker("chat-x", samples.STABLE, "x"), namespace)
    try:
        shown = cli("slices").stdout
        assert f"[{namespace}/chat {samples.STABLE} chat-x] [free]" in shown
        assert f"{MIG}: 3 of 4 free" in shown
        rows = json.loads(cli("slices", "-o", "json").stdout)
        assert [(row["node"], row["offered"], len(row["holders"])) for row in rows] == [
            ("node-x", 2, 1),
            ("node-y", 2, 0),
        ]
    finally:
        api_server.kubectl("delete", "pod", "chat-x", "-n", namespace, "--force", "--grace-period=0")
        api_server.kubectl("delete", "node", "node-x", "node-y")


def test_who_may_not_list_pods_still_sees_the_pool(
    api_server: ApiServer, namespace: str, cli: Cli, tmp_path: Path
) -> None:
    put(api_server, samples.idle(), namespace)
    role = f"--verb=get,list --resource=inferencepools.slicewise.dev -n {namespace}".split()
    api_server.kubectl("create", "role", "viewer", *role)
    api_server.kubectl("create", "rolebinding", "viewer", "--role=viewer", "--user=guest", "-n", namespace)
    config = json.loads(api_server.kubeconfig.read_text())
    config["users"][0]["user"]["token"] = api_server.guest_token
    guest = tmp_path / "guest"
    guest.write_text(json.dumps(config))
    assert "workers are not shown" in cli("get", "chat", "--kubeconfig", str(guest)).stdout
    assert "not checked: slices" in cli("explain", "chat", "--kubeconfig", str(guest)).stdout
    assert "you may not list nodes" in cli("slices", "--kubeconfig", str(guest), code=1).stderr
    assert "costs are not counted" in cli("cost", "--kubeconfig", str(guest)).stdout
    refused = cli("get", "chat", "--watch", "--kubeconfig", str(guest), code=1).stderr
    assert "not allowed" in refused


def test_trouble_is_one_sentence_that_names_what_to_do(
    api_server: ApiServer, namespace: str, cli: Cli, tmp_path: Path
) -> None:
    put(api_server, samples.idle(), namespace)
    config = json.loads(api_server.kubeconfig.read_text())
    away = tmp_path / "away"
    clusters = [{"name": "test", "cluster": {"server": "https://127.0.0.1:1"}}]
    away.write_text(json.dumps({**config, "clusters": clusters}))
    for words, sentence in (
        (("get", "chatt"), "pool chatt in namespace {} does not exist; there are: chat"),
        (("explain", "chatt"), "does not exist"),
        (("abort", "chatt"), "does not exist"),
        (("get", "chat", "--context", "prod"), "--context prod: the kubeconfig has no such context; it has: test"),
        (("get", "chat", "--kubeconfig", "/nowhere"), "--kubeconfig /nowhere: there is no such file"),
        (("get", "chat", "--kubeconfig", str(away)), "https://127.0.0.1:1 does not answer"),
    ):
        told = cli(*words, code=1)
        assert told.stderr.startswith("error: ")
        assert sentence.format(namespace) in told.stderr
        assert len(told.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("gett",),
        ("get", "--nonsense"),
        ("undo", "chat", "--to-revision", "x"),
        ("get", "chat", "-A"),
        ("get", "-o", "xml"),
    ],
)
def test_what_is_not_understood_ends_with_2(cli: Cli, words: tuple[str, ...]) -> None:
    assert "Error" in cli(*words, code=2).stderr


def test_kubectl_passes_on_exit_codes_and_sentences(plugin: Cli) -> None:
    assert plugin("get", "chatt", code=1).stderr.startswith("error: pool chatt in namespace ")
    assert "Error" in plugin("gett", code=2).stderr


def test_kubectl_completes_commands_options_and_pools(api_server: ApiServer, namespace: str, tmp_path: Path) -> None:
    put(api_server, samples.idle(), namespace)

    def completed(*words: str) -> list[str]:
        done = subprocess.run(
            ["kubectl", "__complete", "slicewise", *words],
            env=environment(api_server, tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.splitlines()

    assert completed("p") == ["promote", "pause", ":4"]
    assert completed("get", "--watc") == ["--watch", ":4"]
    assert completed("get", "-o", "") == ["json", "yaml", ":4"]
    # The names come where the API server answers within two seconds, which one that is busy does not.
    wait_until(lambda: completed("get", "-n", namespace, "ch") == ["chat", ":4"], 120, lambda: "the pool's name")
    assert completed("get", "--kubeconfig", "/nowhere", "ch") == [":4"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shells_own_completion_script_can_be_had(shell: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "slicewise_cli", "--show-completion", shell],
        env={"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "PATH": str(PROGRAMS)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "_KUBECTL_SLICEWISE_COMPLETE" in done.stdout
