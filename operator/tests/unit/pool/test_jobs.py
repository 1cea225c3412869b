"""JobsAvailable, and what else a pool says whose jobs are in trouble."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import patient_properties  # noqa: F401 - a profile
import pytest
from agreement import contradictions
from builders import make_pool
from declared import undeclared
from hypothesis import given
from hypothesis import strategies as st
from simulation import OTHER, Simulation, changed

from slicewise.api.v1alpha1 import CONDITIONS, HELP, ConditionType, Help, Reason
from slicewise.pool.observed import ApplyFailure, ObservedPool
from slicewise.pool.observed_jobs import ObservedJobs, ObservedJobsPod, Standing
from slicewise.pool.plan import plan_pool

JOBS = {"databaseSecretRef": {"name": "jobs-db"}}
GOOD = Standing(available=True, reason="Available")
API = ObservedJobsPod("chat-jobs-a", ready=True, standing=GOOD)
DISPATCHER = ObservedJobsPod("chat-jobs-dispatch-a", dispatches=True, ready=True, standing=GOOD)


class Run(Simulation):
    """A pool with jobs, whose pods are what a test says."""

    jobs = ObservedJobs((API, DISPATCHER))

    def observed(self) -> ObservedPool:
        return replace(super().observed(), jobs=self.jobs)


def settled(*pods: ObservedJobsPod, failure: str | None = None, **spec: Any) -> Run:
    run = Run(make_pool(replicas=3, jobs=JOBS, **spec))
    run.jobs = ObservedJobs(pods, failure)
    run.settle()
    return run


def says(run: Run, kind: str = "JobsAvailable") -> tuple[str, str]:
    found = run.condition(kind)
    return found["status"], found["reason"]


def saying(reason: str, message: str = "the words", of: ObservedJobsPod = API) -> ObservedJobsPod:
    return replace(of, standing=Standing(available=False, reason=reason, message=message))


def test_jobs_are_available_once_an_api_and_a_dispatcher_serve() -> None:
    run = settled(API, DISPATCHER)
    assert says(run) == ("True", "Available")
    assert run.condition("JobsAvailable")["message"] == "1 of 2 APIs and 1 of 2 dispatchers serve"
    assert (says(run, "Ready")[0], says(run, "Stalled")[0]) == ("True", "False")


def test_a_pool_without_jobs_says_nothing_of_them() -> None:
    run = Simulation(make_pool(replicas=3))
    run.settle()
    assert run.condition("JobsAvailable") == {}


@pytest.mark.parametrize("pods", [(), (API,), (DISPATCHER,), (replace(API, ready=False), DISPATCHER)])
def test_until_both_serve_they_start(pods: tuple[ObservedJobsPod, ...]) -> None:
    run = settled(*pods)
    assert says(run) == ("False", "Starting")
    assert (says(run, "Ready")[0], says(run, "Stalled")[0]) == ("True", "False")


def test_a_pod_that_goes_counts_no_more() -> None:
    assert says(settled(replace(API, terminating=True), DISPATCHER)) == ("False", "Starting")


def test_who_does_not_answer_is_unknown() -> None:
    assert says(settled(replace(API, standing=None), DISPATCHER)) == ("Unknown", "Unknown")


OF_PROGRAMS = (
    "SecretMissing",
    "AddressNotValid",
    "CredentialsRefused",
    "DatabaseAway",
    "DatabaseFull",
    "DatabaseReadOnly",
    "VersionTooOld",
    "SchemaOlder",
    "DurabilityOff",
    "PacketsTooSmall",
)


@pytest.mark.parametrize("word", OF_PROGRAMS)
def test_what_the_programs_say_is_the_reason_and_the_pool_serves_all_the_same(word: str) -> None:
    run = settled(saying(word), saying(word, of=DISPATCHER))
    assert says(run) == ("False", word)
    assert says(run, "Ready") == ("True", "AllWorkersReady")
    person = HELP[Reason(word)] is Help.PERSON
    assert says(run, "Stalled") == (("True", word) if person else ("False", "NotStalled"))
    assert "JobsAvailable" in run.condition("Stalled")["message"] or person
    assert says(run, "Reconciling")[0] == "False"


@pytest.mark.parametrize("word", OF_PROGRAMS)
def test_what_a_migration_says_at_its_end_is_the_reason_before_any_program_runs(word: str) -> None:
    waits = {"waiting_reason": "CrashLoopBackOff", "waiting_message": "the words"}
    failed = ObservedJobsPod("chat-jobs-a", ended_reason=word, ended_message="the words", **waits)
    assert says(settled(failed, replace(failed, name="chat-jobs-dispatch-a", dispatches=True))) == ("False", word)


def test_a_word_of_a_newer_program_is_shown_and_taken_for_no_reason() -> None:
    run = settled(saying("ReplicaBehind"), DISPATCHER)
    assert says(run) == ("Unknown", "Unknown")
    assert "ReplicaBehind: the words" in run.condition("JobsAvailable")["message"]


def test_a_missing_secret_is_named_with_its_field() -> None:
    run = settled(saying("SecretMissing"), DISPATCHER)
    message = run.condition("JobsAvailable")["message"]
    assert "Secret 'jobs-db' (spec.jobs.databaseSecretRef) does not exist in namespace default" in message
    assert "create it" in message
    assert "takes no jobs" in run.condition("Stalled")["message"]


def test_one_that_serves_beside_one_in_trouble_is_enough_and_the_trouble_is_said() -> None:
    run = settled(API, saying("DatabaseAway", of=replace(API, name="chat-jobs-b")), DISPATCHER)
    assert says(run) == ("True", "Available")
    assert "chat-jobs-b: the words" in run.condition("JobsAvailable")["message"]
    assert "JobsAvailable says what would help" in run.condition("Stalled")["message"]


@pytest.mark.parametrize(
    ("waits", "words", "reason"),
    [
        ("ErrImagePull", "code = NotFound", "ImageNotPullable"),
        ("CrashLoopBackOff", "boom", "CrashLooping"),
        ("Unschedulable", "0/3 nodes are available", "Unschedulable"),
    ],
)
def test_a_pod_that_does_not_start_says_why(waits: str, words: str, reason: str) -> None:
    run = settled(ObservedJobsPod("chat-jobs-a", waiting_reason=waits, waiting_message=words), DISPATCHER)
    assert says(run) == ("False", reason)
    assert f"chat-jobs-a: {words}" in run.condition("JobsAvailable")["message"]


def test_pods_that_the_namespace_refuses_are_said() -> None:
    run = settled(failure='pods "x" is forbidden: violates PodSecurity "restricted:latest"')
    assert says(run) == ("False", "PodsForbidden")
    assert says(run, "Stalled") == ("True", "PodsForbidden")


def test_a_child_of_jobs_that_the_api_server_refuses_is_said() -> None:
    run = settled(API, DISPATCHER)
    refused = ApplyFailure("Deployment", "chat-jobs", 403, "no")
    plan = plan_pool(run.pool, replace(run.observed(), apply_failures=(refused,)), run.now)
    found = {item["type"]: item for item in plan.status["conditions"]}
    assert (found["JobsAvailable"]["status"], found["JobsAvailable"]["reason"]) == ("False", "ApplyFailed")
    assert (found["Ready"]["status"], found["Stalled"]["reason"]) == ("True", "ApplyFailed")
    assert contradictions(plan.status, run.pods.values()) == []


def test_while_a_pool_comes_up_its_jobs_do_not_stall_it() -> None:
    run = Run(make_pool(replicas=3, jobs=JOBS))
    run.jobs = ObservedJobs((saying("CredentialsRefused"), DISPATCHER))
    run.operate()
    assert says(run) == ("False", "CredentialsRefused")
    assert (says(run, "Reconciling")[0], says(run, "Stalled")[0]) == ("True", "False")
    assert "JobsAvailable" in run.condition("Stalled")["message"]
    run.settle()
    assert says(run, "Stalled") == ("True", "CredentialsRefused")


def test_trouble_that_ends_is_an_event_each_way_and_moves_no_worker() -> None:
    run = settled(API, DISPATCHER)
    workers, told = dict(run.pods), len(run.events)
    run.jobs = ObservedJobs((saying("DatabaseAway"), DISPATCHER))
    run.operate()
    run.jobs = ObservedJobs((API, DISPATCHER))
    run.operate()
    assert run.events[told:] == ["DatabaseAway", "Available"]
    assert run.pods == workers


def test_jobs_that_are_taken_out_leave_no_condition_and_no_deployment() -> None:
    run = settled(saying("CredentialsRefused"), DISPATCHER)
    run.pool = changed(run.pool, jobs=None)
    plan = run.settle()
    assert run.condition("JobsAvailable") == {}
    assert says(run, "Stalled") == ("False", "NotStalled")
    assert not [item for item in plan.children or () if item["metadata"]["name"].startswith("chat-jobs")]


def test_a_rollout_of_the_model_goes_on_beside_jobs_in_trouble() -> None:
    run = settled(saying("DatabaseFull"), DISPATCHER)
    run.pool = changed(run.pool, model=OTHER)
    run.settle()
    assert (says(run, "Ready")[0], says(run)[1]) == ("True", "DatabaseFull")


def test_every_reason_of_the_programs_is_declared() -> None:
    declared = {reason.value for reason in CONDITIONS[ConditionType.JOBS_AVAILABLE].reasons}
    assert declared >= set(OF_PROGRAMS)


WORDS = st.sampled_from([*OF_PROGRAMS, "Available", "Unknown", "ReplicaBehind", ""])
STANDINGS = st.none() | st.builds(Standing, available=st.booleans(), reason=WORDS, message=st.just("the words"))
WAITS = st.sampled_from([None, "Unschedulable", "ErrImagePull", "CrashLoopBackOff", "CreateContainerConfigError"])
PODS = st.lists(
    st.builds(
        ObservedJobsPod,
        name=st.sampled_from(["chat-jobs-a", "chat-jobs-b"]),
        dispatches=st.booleans(),
        ready=st.booleans(),
        terminating=st.booleans(),
        waiting_reason=WAITS,
        waiting_message=st.sampled_from(["", "no"]),
        ended_reason=st.none() | WORDS,
        standing=STANDINGS,
    ),
    max_size=6,
).map(tuple)
ABOUT_JOBS = {"JobsAvailable", "Stalled", "Reconciling"}


@given(pods=PODS, failure=st.none() | st.just("exceeded quota"), rolls=st.booleans())
def test_whatever_jobs_do_the_pool_says_and_does_the_same_besides(
    pods: tuple[ObservedJobsPod, ...], failure: str | None, rolls: bool
) -> None:
    run = RESTING
    pool = changed(run.pool, model=OTHER) if rolls else run.pool
    usual = plan_pool(pool, run.observed(), run.now)
    plan = plan_pool(pool, replace(run.observed(), jobs=ObservedJobs(pods, failure)), run.now)
    assert plan.children == usual.children
    assert (plan.deletions, plan.requeue_after) == (usual.deletions, usual.requeue_after)
    assert undeclared(plan.status) == []
    assert contradictions(plan.status, run.pods.values()) == []
    said, others = ([c for c in each.status["conditions"] if c["type"] not in ABOUT_JOBS] for each in (plan, usual))
    assert said == others
    assert {**plan.status, "conditions": []} == {**usual.status, "conditions": []}


RESTING = settled(API, DISPATCHER)
"""A pool at rest, which no test of a property changes."""
