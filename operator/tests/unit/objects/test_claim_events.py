"""Why a claim has no volume, from the Events about it: trouble is told, an ordinary wait is not, and what is read is bounded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from slicewise.objects.events import NEWS_SECONDS, PATIENCE_SECONDS, read_claim_events

NOW = 1_800_000_000.0
REFUSED = 'failed to provision volume with StorageClass "local": only supports ReadWriteOnce access modes'


def stamp(seconds_ago: float) -> str:
    return datetime.fromtimestamp(NOW - seconds_ago, UTC).isoformat().replace("+00:00", "Z")


BINDER = "persistentvolume-controller"
DRIVER = "rancher.io/local-path_local-path-provisioner-7d9f_8c1e"


def event(
    kind: str, reason: str, message: str = "words", *, ago: float = 5, first: float | None = None, by: str = BINDER
) -> dict[str, Any]:
    since = ago if first is None else first
    return {
        "source": {"component": by},
        "type": kind,
        "reason": reason,
        "message": message,
        "firstTimestamp": stamp(since),
        "lastTimestamp": stamp(ago),
        "eventTime": None,
    }


@pytest.mark.parametrize("reason", ["WaitForFirstConsumer", "WaitForPodScheduled", "Provisioning"])
def test_a_claim_that_only_waits_for_its_pod_is_in_no_trouble(reason: str) -> None:
    assert read_claim_events("weights", [event("Normal", reason)], NOW) is None
    assert read_claim_events("weights", [], NOW) is None


def test_a_failure_is_told_before_what_the_cluster_says_again_and_again() -> None:
    events = [
        event("Normal", "ExternalProvisioning", "Waiting for a volume to be created", ago=1),
        event("Warning", "ProvisioningFailed", REFUSED, ago=30, by=DRIVER),
        event("Normal", "Provisioning", ago=2, by=DRIVER),
        event("Normal", "WaitForFirstConsumer", ago=0),
    ]
    told = read_claim_events("weights", events, NOW)
    assert told is not None
    assert (told.name, told.reason, told.message, told.overdue) == ("weights", "ProvisioningFailed", REFUSED, False)


def test_the_newest_failure_counts_and_one_that_is_not_said_any_more_does_not() -> None:
    old, new = (
        event("Warning", "ProvisioningFailed", "old", ago=400),
        event("Warning", "ProvisioningFailed", "new", ago=9),
    )
    told = read_claim_events("weights", [old, new], NOW)
    assert told is not None
    assert told.message == "new"
    assert read_claim_events("weights", [event("Warning", "ProvisioningFailed", ago=NEWS_SECONDS)], NOW) is None


NO_CLASS = 'storageclass.storage.k8s.io "fast" not found'


@pytest.mark.parametrize("reason", ["WaitForFirstConsumer", "ExternalProvisioning"])
def test_a_failure_that_is_mended_is_not_told_any_more_when_who_reported_it_reports_something_else(reason: str) -> None:
    failed, then = event("Warning", "ProvisioningFailed", NO_CLASS, ago=40), event("Normal", reason, ago=2)
    told = read_claim_events("weights", [failed, then], NOW)
    assert told is None or told.reason == reason
    told = read_claim_events("weights", [failed | {"lastTimestamp": stamp(1)}, then], NOW)
    assert told is not None
    assert told.message == NO_CLASS, "it fails again"


def test_a_claim_that_got_its_class_is_not_said_to_have_none() -> None:
    bare = event("Normal", "FailedBinding", "no storage class is set", ago=300)
    assert read_claim_events("weights", [bare], NOW) is not None
    assert read_claim_events("weights", [bare, event("Normal", "WaitForFirstConsumer", ago=3)], NOW) is None


def test_a_provisioner_that_has_made_the_volume_is_not_said_to_have_failed() -> None:
    """Its process may be another one by then, and Events of the newer form name the component elsewhere."""
    failed = event("Warning", "ProvisioningFailed", REFUSED, ago=30, by=DRIVER)
    done = event("Normal", "ProvisioningSucceeded", ago=3) | {
        "source": {},
        "reportingComponent": "rancher.io/local-path",
    }
    assert read_claim_events("weights", [failed, done], NOW) is None
    assert read_claim_events("weights", [failed, event("Normal", "ProvisioningSucceeded", by="other.io", ago=3)], NOW)


@pytest.mark.parametrize(("first", "overdue"), [(PATIENCE_SECONDS - 1, False), (PATIENCE_SECONDS + 1, True)])
def test_a_provisioner_that_has_been_silent_for_minutes_is_told_as_that(first: float, overdue: bool) -> None:
    told = read_claim_events("weights", [event("Normal", "ExternalProvisioning", first=first)], NOW)
    assert told is not None
    assert told.overdue is overdue


def test_events_of_the_newer_form_are_read_too_and_words_are_bounded() -> None:
    body = {
        "type": "Warning",
        "reason": "Not A Word!",
        "message": "x\n" * 5000,
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": stamp(300),
        "series": {"count": 2, "lastObservedTime": stamp(3)},
    }
    told = read_claim_events("weights", [body], NOW)
    assert told is not None
    assert told.reason == "Unknown"
    assert len(told.message) <= 512
    assert "\n" not in told.message


@pytest.mark.parametrize("time", ["0000-01-01T00:00:00Z", "10000-01-01T09:59:59Z", stamp(-2 * NEWS_SECONDS)])
def test_an_event_of_an_impossible_time_is_left_out_and_hides_no_other(time: str) -> None:
    """The API server takes them, from whoever may create Events."""
    forged = event("Warning", "ProvisioningFailed", "forged") | {"firstTimestamp": time, "lastTimestamp": time}
    assert read_claim_events("weights", [forged], NOW) is None
    told = read_claim_events("weights", [forged, event("Warning", "ProvisioningFailed", REFUSED)], NOW)
    assert told is not None
    assert told.message == REFUSED
