"""What Events say of a claim without a volume and of a pod that cannot mount one. Pure.

Whoever may create Events in a namespace can write any of these words; so they become words of conditions, and decide nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from slicewise.api.bounds import line, word
from slicewise.objects.pods import timestamp
from slicewise.pool.facts import FAILED_MOUNT
from slicewise.pool.observed import PendingClaim

NEWS_SECONDS: Final = 600.0
"""How old an Event may be. What goes on failing is said again within five minutes."""
PATIENCE_SECONDS: Final = 300.0
"""How long a provisioner may take before its silence counts as trouble."""
TOGETHER_SECONDS: Final = 180.0
"""Two volumes that cannot be mounted are reported in turn. The first report stands if it is repeated within this time; the kubelet
tries each every two minutes."""
_TELLING: Final = ("FailedBinding", "ExternalProvisioning")
"""Ordinary Events about a claim that say what it lacks; most telling first, and behind any warning. What is not among them, such as
WaitForFirstConsumer, is no trouble."""
_TRIES: Final = "Provisioning"
"""An attempt of a provisioner begins; whether it fails is reported after it."""
_GENERAL: Final = "Unable to attach or mount volumes"
_VOLUME: Final = re.compile(r'volume "([^"]{1,63})"')
_UNMOUNTED: Final = re.compile(r"unmounted volumes=\[([^\]]*)\]")


def read_claim_events(name: str, events: Iterable[Mapping[str, Any]], now: float) -> PendingClaim | None:
    """Return what Events say of a claim without a volume; None where they say nothing of trouble.

    An Event stays for an hour after its cause is gone. It counts no longer once the component that reported it has reported something
    ordinary since, such as that the claim waits for its first pod. What another component reports says nothing of that: the volume
    controller repeats that it waits for a provisioner while the provisioner fails. When the claim was last changed says nothing either:
    the scheduler and the provisioner change it at each attempt.
    """
    news = _news(events, now)
    found = [
        (rank, last, event)
        for last, event in news
        if (rank := _rank(event)) is not None and not _is_overtaken(last, event, news)
    ]
    if not found:
        return None
    _, last, event = min(found, key=lambda entry: (entry[0], -entry[1]))
    reason = word(event.get("reason")) or "Unknown"
    first = _seconds(event.get("firstTimestamp")) or last
    overdue = reason == "ExternalProvisioning" and now - first > PATIENCE_SECONDS
    return PendingClaim(name, reason, line(event.get("message")), overdue)


def read_mount_events(events: Iterable[Mapping[str, Any]], now: float, known: str = "") -> str:
    """Return what the kubelet says of a volume that a pod cannot mount; empty where it says nothing. `known`: what it said before.

    After some twenty Events about one pod the kubelet keeps most of them to itself, and Events are dropped after an hour; so what was
    said stands while the pod does not start, until the kubelet says something else.
    """
    failed = [
        (last, line(event.get("message"))) for last, event in _news(events, now) if event.get("reason") == FAILED_MOUNT
    ]
    failed.sort(reverse=True)
    general = next((item for item in failed if item[1].startswith(_GENERAL)), None)
    causes = [item for item in failed if not item[1].startswith(_GENERAL) and not _is_over(item, general)]
    if causes:
        newest, text = causes[0]
        return known if any(said == known and newest - last < TOGETHER_SECONDS for last, said in causes) else text
    if general is None:
        return known
    return known if known and not known.startswith(_GENERAL) and not _is_mounted(known, general[1]) else general[1]


def _is_overtaken(said: float, event: Mapping[str, Any], news: Iterable[tuple[float, Mapping[str, Any]]]) -> bool:
    """Whether the component behind an Event has reported something ordinary since, other than that it tries again."""
    return any(
        last > said
        and other.get("type") == "Normal"
        and other.get("reason") not in {event.get("reason"), _TRIES}
        and _component(other) == _component(event)
        for last, other in news
    )


def _component(event: Mapping[str, Any]) -> str:
    """Who reported an Event. A provisioner puts the names of its pod and its process behind its own: `driver_pod_uuid`."""
    source = event.get("source") or {}
    return str(source.get("component") or event.get("reportingComponent") or "").partition("_")[0]


def _is_over(cause: tuple[float, str], general: tuple[float, str] | None) -> bool:
    return general is not None and cause[0] < general[0] and _is_mounted(cause[1], general[1])


def _is_mounted(cause: str, general: str) -> bool:
    """Whether the volume of `cause` is not among those that "unmounted volumes=[a b]" names."""
    volume, rest = _VOLUME.search(cause), _UNMOUNTED.search(general)
    return volume is not None and rest is not None and volume[1] not in re.split(r"[ ,]+", rest[1])


def _news(events: Iterable[Mapping[str, Any]], now: float) -> list[tuple[float, Mapping[str, Any]]]:
    """Return the Events of the last minutes with their times; one far in the future has the time of no kubelet."""
    return [(last, event) for event in events if abs(now - (last := _last(event))) < NEWS_SECONDS]


def _rank(event: Mapping[str, Any]) -> int | None:
    """0 is what tells most; None tells of no trouble."""
    if event.get("type") == "Warning":
        return 0
    reason = event.get("reason")
    return 1 + _TELLING.index(reason) if reason in _TELLING else None


def _last(event: Mapping[str, Any]) -> float:
    """When an Event was last said, in seconds since the epoch."""
    series = event.get("series") or {}
    said = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return max(_seconds(text) for text in said)


def _seconds(text: str | None) -> float:
    """The API server takes years that Python does not have (0, 10000)."""
    try:
        return timestamp(text)
    except ValueError:
        return 0.0
