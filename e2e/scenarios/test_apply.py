"""From `kubectl apply` to tokens: what a first user does and sees."""

from __future__ import annotations

import json

from e2e.support.given import Given
from e2e.support.polling import patiently
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.when import When


def test_a_pool_that_is_applied_becomes_ready_and_answers_from_every_zone(
    story: Story, given: Given, when: When, then: Then
) -> None:
    chat = given.an_example("chat.yaml", model="wordy")
    pool = when.applied(chat)
    when.kubectl("wait", "--for=condition=Ready", "ipool/chat", patiently(150), within=160)
    answers = then.every_worker_answers(pool)
    assert sorted(answers) == ["a", "b", "c"]
    assert then.the_endpoint_answers(pool)
    assert pool.status()["endpoint"] == f"http://chat.{story.namespace}.svc"


def test_what_kubectl_shows_of_a_pool_says_what_is_and_what_to_do(
    story: Story, given: Given, when: When, then: Then
) -> None:
    given.a_pool("chat", model={**given.an_example("chat.yaml")["spec"]["model"]})
    header, line = when.kubectl("get", "ipool").strip().splitlines()
    assert header.split() == ["NAME", "MODEL", "REVISION", "DESIRED", "READY", "CANARY", "SLICE", "STATUS", "AGE"]
    status = story.pools[0].status()
    stable = status["revisions"]["stable"]
    assert line.split()[:7] == ["chat", "chat-small", stable, "3", "3", "nvidia.com/mig-1g.10gb", "AllWorkersReady"]
    wide = when.kubectl("get", "inferencepools.slicewise.dev", "-o", "wide").splitlines()[0].split()
    assert {"ENDPOINT", "MESSAGE"} <= set(wide)
    assert "chat" in when.kubectl("get", "inference")

    told = when.kubectl("describe", "ipool", "chat")
    for kind in ("Ready", "Reconciling", "Stalled", "Accepted", "CapacityAvailable", "WeightsCached", "ServingOnGPU"):
        assert kind in told
    then.says(
        story.pools[0], "ServingOnGPU", "False", "OnCPU", ["3 of 3 workers hold a GPU slice and compute on"], within=40
    )
    assert "Events:" in told


def test_nothing_is_written_to_the_spec_or_the_annotations_of_a_pool(given: Given) -> None:
    pool = given.a_pool("chat")
    found = pool.object()
    last = json.loads(found["metadata"]["annotations"].pop("kubectl.kubernetes.io/last-applied-configuration"))
    assert not found["metadata"]["annotations"]
    assert found["metadata"]["generation"] == 1
    assert not found["metadata"].get("finalizers")
    for key, value in last["spec"].items():
        assert found["spec"][key] == value or isinstance(value, dict), f"spec.{key} is {found['spec'][key]}"
