"""What Envoy counts of each revision for the gate: access loggers that write no line but raise a counter.

Envoy's own counters take a status for the outcome, so an answer that broke after its first byte is a success to them, and what
hangs is nothing at all until it ends. These count

- when a request has run for longer than the limit and has not ended: `crossed`;
- when a worker's answer ends, by the same clock, which begins when the worker is asked: `fast`, `late` (over the limit), `gone`
  (so late that it was seen to cross);
- when a client's request ends: `failed`, `refused`, `left`;
- of what runs jobs: `jobs` when a worker gets it, `jobs_ended` and `jobs_refused` when it ends. These are in no count of
  latency, for they wait behind what people wait for; they fail and are refused as all others.

`measurement.py` reads them, and Envoy's own count of what was begun, tried again, and runs.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from slicewise.envoy.discovery import Json, seconds, typed
from slicewise.envoy.model import BROKEN_TRAILER, HELD_HEADER, JOB_HEADER, NOT_STARTED_HEADER, GatewayModel
from slicewise.envoy.overload import is_overload

OUTCOME_TAG: Final = "slicewise_cluster"
LIMIT_TAG: Final = "slicewise_limit_ms"
"""The limit by which `fast`, `late`, `crossed` and `left` are counted: a gateway that was started with another limit is found by it."""
LONGEST_SECONDS: Final = 60.0
"""After so long a request has not been answered in time, where the spec says nothing of latency and its time-out is longer."""
_SOONEST_MS: Final = 100
"""Requests are looked at while they run after this time at the earliest."""
_GRACE_MS: Final = 50
"""Envoy's timers fire too soon by what its event loop is behind: a look comes so much after the limit."""


class Sent(Enum):
    """Who sends what comes to a listener."""

    BY_CLIENTS = "clients"
    BY_DISPATCHERS = "dispatchers"
    """Of jobs."""
    BY_BOTH = "both"
    """What dispatchers sent has a header by which it is known."""


def limit_seconds(p95_seconds: float | None, request_timeout: float) -> float:
    """Return after how long a request counts as slow, or as not answered in time where latency has no limit."""
    return min(LONGEST_SECONDS, request_timeout) if p95_seconds is None else p95_seconds


def limit_ms(limit: float) -> int:
    """Return a limit in whole milliseconds, as Envoy measures; at least one."""
    return max(1, round(limit * 1000))


def downstream_counters(model: GatewayModel, sent: Sent = Sent.BY_CLIENTS) -> list[Json]:
    """Return the counters of requests that have ended for their client.

    What Envoy answers by itself before a worker is asked (401, 413, 429, an unknown path) is in none of them, nor what the CPU
    fallback had last.
    """
    limit = limit_of(model)
    answered = _either(_all(_status("GE", 200), _status("LE", 399)), _status("GE", 500), _cel(_TIMED_OUT))
    # Reset, gone, malformed, too late; not: left by the client.
    broken = _flags("UC", "UR", "UPE", "LR", "UT", "SI")
    # The edge took it, because the revision had no worker: whoever answered it in the end, this revision did not.
    held = _cel(f"'{HELD_HEADER}' in response.headers")
    # The gateway's own memory says nothing about a revision.
    # The worker's last event was an error.
    told = _cel(f"'{BROKEN_TRAILER}' in response.trailers")
    failures = _either(_status("GE", 500), broken, held, told, _cel(_TIMED_OUT))
    failed = _all(answered, is_overload(otherwise=True), failures)
    found = [_counter("failed", _of_revision(model, failed)), _counter("refused", _of_revision(model, _cel(_REFUSED)))]
    if sent is not Sent.BY_DISPATCHERS:
        left = _all(*_no_jobs(sent), _flags("DC"), _duration("LE", limit_ms(limit) - 1))
        found.append(_counter("left", _of_revision(model, left), limit))
    if sent is not Sent.BY_CLIENTS:
        # What no worker got is in `failed`, and not in `jobs`.
        ended = _all(*_jobs_alone(sent), answered, _either(broken, _cel(_ANSWERED_BY_ONE)))
        found.append(_counter("jobs_ended", _of_revision(model, ended)))
        found.append(_counter("jobs_refused", _of_revision(model, _all(*_jobs_alone(sent), _cel(_REFUSED)))))
    return found


def upstream_log(model: GatewayModel, sent: Sent = Sent.BY_CLIENTS) -> Json:
    """Return the router's part: the counters of requests to workers, and when it looks at those that run.

    With a CPU fallback, `aside` counts the tries that it got, `aside_again` those of them that were not the
    first of their request: Envoy's own counters of a cluster have both too.
    """
    limit = limit_of(model)
    ms = limit_ms(limit)
    look = max(ms, _SOONEST_MS) + _GRACE_MS
    # The second look comes after twice as long, and finds what the first has counted.
    first = _all(_duration("GE", ms), _duration("LE", look + look // 2))
    ended = _type("UpstreamEnd")
    counted = {
        "crossed": _all(_type("UpstreamPeriodic"), first),
        "fast": _all(ended, _duration("LE", ms - 1), _cel(_ANSWERED)),
        "late": _all(ended, _duration("GE", ms)),
        "gone": _all(ended, _duration("GE", look)),
    }
    if sent is Sent.BY_DISPATCHERS:
        counted = {}
    timed = {name: _of_revision(model, _all(*_no_jobs(sent), when)) for name, when in counted.items()}
    loggers = [_counter(name, when, limit) for name, when in timed.items()]
    options: Json = {"upstream_log_flush_interval": seconds(look / 1000)}
    begun = _type("UpstreamPoolReady")
    if sent is not Sent.BY_CLIENTS:
        first = _all(*_jobs_alone(sent), begun, _cel(_FIRST))
        loggers.append(_counter("jobs", _of_revision(model, first)))
    if model.fallback:
        aside = _all(begun, _cel(_ASIDE))
        loggers += [_counter("aside", aside), _counter("aside_again", _all(aside, _cel(_AGAIN)))]
    if model.fallback or sent is not Sent.BY_CLIENTS:
        options["flush_upstream_log_on_upstream_stream"] = True
    return {"upstream_log": loggers, "upstream_log_options": options}


def limit_of(model: GatewayModel) -> float:
    """Return the limit that a gateway counts by."""
    return limit_seconds(model.p95_seconds, model.timeouts.gateway)


_FROM_WORKER: Final = f"response.code_details == 'via_upstream' && !('{HELD_HEADER}' in response.headers)"
_ANSWERED_BY_ONE: Final = "response.code_details == 'via_upstream'"
_TIMED_OUT: Final = f"response.code == 408 && {_FROM_WORKER}"
_REFUSED: Final = f"response.code >= 400 && response.code < 500 && response.code != 408 && {_FROM_WORKER}"
_ANSWERED: Final = (
    "response.code >= 200 && (response.code < 400 || response.code >= 500) "
    f"&& !('{NOT_STARTED_HEADER}' in response.headers)"
)


_HOST: Final = "xds.upstream_host_metadata"
_ASIDE: Final = (
    f"has({_HOST}) && 'slicewise' in {_HOST}.filter_metadata && 'served_by' in {_HOST}.filter_metadata['slicewise']"
)
"""What answers in place of the revision has it (`gateway/…/endpoints.py`). A request without an endpoint has no such metadata."""


_AGAIN: Final = "request.headers['x-envoy-attempt-count'] != '1'"
_FIRST: Final = "request.headers['x-envoy-attempt-count'] == '1'"


def _no_jobs(sent: Sent) -> list[Json]:
    return [_cel(f"!('{JOB_HEADER}' in request.headers)")] if sent is Sent.BY_BOTH else []


def _jobs_alone(sent: Sent) -> list[Json]:
    return [_cel(f"'{JOB_HEADER}' in request.headers")] if sent is Sent.BY_BOTH else []


def _of_revision(model: GatewayModel, condition: Json) -> Json:
    """Return the condition for what a revision had, and not its stand-in on CPU."""
    return _all(condition, _cel(f"!({_ASIDE})")) if model.fallback else condition


def _counter(name: str, condition: Json, limit: float | None = None) -> Json:
    tags = [{"name": OUTCOME_TAG, "value_format": "%UPSTREAM_CLUSTER_RAW%"}]
    if limit is not None:
        tags.append({"name": LIMIT_TAG, "value_format": str(limit_ms(limit))})
    kind = "envoy.extensions.access_loggers.stats.v3.Config"
    counter = {"stat": {"name": name, "tags": tags}, "value_fixed": 1}
    logger = typed("envoy.access_loggers.stats", kind, stat_prefix="slicewise", counters=[counter])
    return {"filter": condition, **logger}


def _all(*filters: Json) -> Json:
    """Envoy takes no conjunction of one."""
    return {"and_filter": {"filters": list(filters)}} if len(filters) > 1 else filters[0]


def _either(*filters: Json) -> Json:
    return {"or_filter": {"filters": list(filters)}}


def _flags(*flags: str) -> Json:
    return {"response_flag_filter": {"flags": list(flags)}}


def _type(name: str) -> Json:
    return {"log_type_filter": {"types": [name]}}


def _status(op: str, status: int) -> Json:
    return {"status_code_filter": {"comparison": _comparison(op, status, f"status_{status}")}}


def _duration(op: str, milliseconds: int) -> Json:
    return {"duration_filter": {"comparison": _comparison(op, milliseconds, f"duration_{milliseconds}")}}


def _comparison(op: str, value: int, name: str) -> Json:
    return {"op": op, "value": {"default_value": value, "runtime_key": f"slicewise.unused.{name}"}}


def _cel(expression: str) -> Json:
    filter_type = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
    return {"extension_filter": typed("envoy.access_loggers.extension_filters.cel", filter_type, expression=expression)}
