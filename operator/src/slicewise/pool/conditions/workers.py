"""What conditions say of slices, weights and workers: one function a condition, from facts to words.

A message says what is and what to do, names field, value and place, and stays the same while nothing changes. Called by
`summary.py`; pure.
"""

from __future__ import annotations

from slicewise.api.v1alpha1 import Reason
from slicewise.pool.conditions.claims import find_pending_claim
from slicewise.pool.conditions.ends import failed_device, refused_by_worker
from slicewise.pool.conditions.missing import find_missing, needed
from slicewise.pool.conditions.refusals import find_refusal, find_unpulled
from slicewise.pool.conditions.result import ConditionResult
from slicewise.pool.conditions.shape_words import held_up_by, no_node_is_chosen, why_not_free
from slicewise.pool.facts import Facts
from slicewise.pool.observed import ObservedPod
from slicewise.pool.releasing import waits_for_release
from slicewise.pool.rollout.state import Phase
from slicewise.pool.workers import keeps_ending, lost_nodes, told_end


def zone_names(zones: tuple[str, ...] | list[str]) -> str:
    """Return zones as read by a person; nodes without a zone label are said so."""
    return ", ".join(zone or '"" (nodes without a zone label)' for zone in zones)


def find_capacity(facts: Facts) -> ConditionResult:
    """CapacityAvailable."""
    if facts.no_profile is not None:
        reason = Reason.MODEL_TOO_LARGE if facts.no_profile.too_small else Reason.NO_NODE_WITH_PROFILE
        return ConditionResult("False", reason, facts.no_profile.message)
    demand = facts.demand
    if demand is None:
        return ConditionResult("Unknown", Reason.UNKNOWN, "slices were not counted")
    what = demand.profile.resource or "CPU slices"
    nowhere = _zones_without_nodes(facts)
    if nowhere is not None:
        return nowhere
    if not any(entry.offered for entry in demand.slices) and facts.desired:
        where = f" in zones {zone_names(list(demand.zones))}" if demand.zones else ""
        message = (
            f"no node{where} offers {what} (spec.slice): check the device plugin and the nodes' partitioning, "
            "or name a slice that the nodes offer (kubectl describe node shows them under Allocatable)"
        )
        return ConditionResult("False", Reason.NO_NODE_WITH_PROFILE, no_node_is_chosen(facts, what) or message)
    if facts.observed.held_by_others is None:
        return ConditionResult("Unknown", Reason.UNKNOWN, "the pods that hold slices could not be listed; trying again")
    if facts.missing:
        return ConditionResult("False", Reason.NOT_ENOUGH_SLICES, _missing_message(facts, what) + _unseen(facts))
    if facts.releasing:
        return ConditionResult("True", Reason.SLICES_FREE, waits_for_release(facts.releasing))
    stuck = _unschedulable(facts)
    if stuck is not None:
        text = f"{_beside(facts, stuck)}{stuck.refusal}{_unseen(facts)}"
        return ConditionResult("False", Reason.UNSCHEDULABLE, text)
    return _capacity_is_there(facts, what)


def _beside(facts: Facts, stuck: ObservedPod) -> str:
    """What there is of slices in the zone of a worker that fits no node; workers of the pool may hold slices that serve no other."""
    demand = facts.demand
    if demand is None:
        return ""
    slices = demand.slices if stuck.revision == demand.wanted else demand.stable_slices
    if any(entry.zone == stuck.zone and entry.short == 0 for entry in slices):
        return "a slice is free, but "
    return f"no slice of zone {zone_names([stuck.zone])} that takes a worker is free: "


def _zones_without_nodes(facts: Facts) -> ConditionResult | None:
    there = {node.zone for node in facts.observed.nodes}
    unknown = [zone for zone in facts.pool.spec.zones.names or () if zone not in there]
    if not unknown or not facts.desired:
        return None
    key = facts.pool.spec.zones.topology_key
    known = f"nodes carry {zone_names(sorted(there))}" if there else "there are no nodes"
    return ConditionResult(
        "False", Reason.ZONE_UNKNOWN, f"spec.zones.names: no node is in zone {zone_names(unknown)}; as {key}, {known}"
    )


def _missing_message(facts: Facts, what: str) -> str:
    lacking = sum(facts.missing.values())
    where = ", ".join(f"{count} in zone {zone or repr('')}" for zone, count in sorted(facts.missing.items()))
    slices = facts.demand.slices if facts.demand else ()
    spare = [(entry.zone, entry.free) for entry in slices if entry.free > 0 and entry.zone not in facts.missing]
    free = "; free elsewhere: " + ", ".join(f"{zone or repr('')} {count}" for zone, count in spare) if spare else ""
    leaving = sorted(zone for zone in facts.serving if facts.demand and zone not in facts.demand.zones)
    held = sum(facts.serving[zone] for zone in leaving)
    # Workers of zones that the pool is leaving go one by one, as soon as more serve than are asked for.
    fits = facts.desired - (max(1, lacking - held) if held else lacking)
    others = f"; workers of zone {zone_names(leaving)}, which the pool is leaving, hold {held}" if held else ""
    missing = f"{lacking} of {facts.desired} slices {what} are missing: {where}{free}{others}"
    reached = why_not_free(facts, facts.missing)
    if reached:
        return f"{missing}{reached}. Or lower spec.replicas to {fits}"
    return f"{missing}. Lower spec.replicas to {fits}, free slices there, or add nodes"


def _unseen(facts: Facts) -> str:
    """Say so where slices may be held by pods that this installation may not list."""
    if facts.observed.sees_all_namespaces or facts.demand is None or facts.demand.profile.resource is None:
        return ""
    return ". Slices held by pods outside the watched namespaces are unknown and count as free (chart value watchNamespaces)"


def _unschedulable(facts: Facts) -> ObservedPod | None:
    return next((pod for pod in _unplaced(facts) if not _waits_for_claim(pod)), None)


def _unplaced(facts: Facts) -> list[ObservedPod]:
    return [pod for pod in facts.workers if pod.unplaced]


def _waits_for_claim(pod: ObservedPod) -> bool:
    """Whether the scheduler says so: "pod has unbound immediate PersistentVolumeClaims", "… node(s) didn't find available persistent
    volumes to bind", both only in words."""
    return "persistentvolumeclaim" in pod.waiting_message.lower() or "persistent volume" in pod.waiting_message.lower()


def _capacity_is_there(facts: Facts, what: str) -> ConditionResult:
    spec = facts.pool.spec
    floor = spec.zones.min_available or 0
    zones = facts.demand.zones if facts.demand else ()
    if spec.replicas and not spec.suspend and spec.replicas < floor * len(zones):
        message = (
            f"spec.replicas is {spec.replicas}, below the floor of {floor * len(zones)} ({floor} in each of {zone_names(list(zones))}; "
            f"spec.zones.minAvailable): {facts.desired} workers are kept"
        )
        return ConditionResult("True", Reason.FLOOR_ABOVE_REPLICAS, message)
    unlabelled = ' Zone "" stands for nodes without a zone label.' if "" in zones else ""
    return ConditionResult(
        "True",
        Reason.SLICES_FREE,
        f"{facts.desired} of {facts.desired} workers have a slice or a free one ({what}).{unlabelled}{_unseen(facts)}",
    )


def find_weights(facts: Facts) -> ConditionResult | None:
    """WeightsCached; None where no worker is to run."""
    if facts.desired == 0 and all(pod.terminating for pod in facts.workers):
        return None
    spec = facts.pool.spec
    absent = _absent_reference(facts)
    if absent is not None:
        return absent
    told = find_pending_claim(facts)
    if told is not None:
        return told
    pending = next((pod for pod in _unplaced(facts) if _waits_for_claim(pod)), None)
    if pending is not None:
        text = f"{pending.name} waits for the claim of spec.cache to get a volume: {pending.waiting_message}. "
        return ConditionResult(
            "False", Reason.CLAIM_PENDING, text + "kubectl describe pvc tells why; check its storage class"
        )
    given_up = facts.state.phase is Phase.ROLLED_BACK
    asked = facts.demand.wanted if facts.demand else None
    wanted = facts.state.stable if given_up else asked
    pods = [pod for pod in facts.workers if pod.revision == wanted and not pod.terminating]
    for pod in pods:
        if pod.fetch is not None and pod.fetch.reason and not pod.fetch.done:
            return ConditionResult("False", _fetch_reason(pod.fetch.reason), f"{pod.name}: {pod.fetch.message}")
    unusable = refused_by_worker(pods)
    if unusable is not None and unusable[0] is not Reason.BAD_SETTINGS:
        return ConditionResult("False", *unusable)
    loading = [pod for pod in pods if pod.fetch is not None and not pod.fetch.done]
    if loading:
        return ConditionResult("False", Reason.DOWNLOADING, _progress(loading))
    if any(pod.fetch is not None and pod.fetch.done for pod in pods) or any(pod.serving for pod in pods):
        what = f"what revision {wanted} serves" if given_up else spec.model.source
        count = len(spec.model.adapters or ())
        beside = f" with {count} adapter{'s' if count > 1 else ''}" if count and not given_up else ""
        return ConditionResult("True", Reason.CACHED, f"{what}{beside} is cached, digest verified")
    return ConditionResult("False", Reason.PENDING, _not_begun(facts, wanted))


def _not_begun(facts: Facts, wanted: str | None) -> str:
    """No worker of the wanted revision fetches yet; those of another one may serve all the while."""
    others = sorted({pod.revision for pod in facts.workers if pod.serving})
    if not others:
        return "no worker has started to fetch the weights yet"
    return f"no worker of revision {wanted} has started to fetch its weights yet; revision {', '.join(others)} serves"


def _absent_reference(facts: Facts) -> ConditionResult | None:
    what = f"does not exist in namespace {facts.pool.metadata.namespace}: create it, workers start by themselves then"
    missing = find_missing(facts)
    if missing is not None:
        return missing
    for name, there in facts.observed.references.claims.items():
        if not there:
            return ConditionResult("False", Reason.CLAIM_MISSING, f"claim {name!r} {what}", helps=needed(facts))
    return None


def _fetch_reason(text: str) -> Reason:
    return next((reason for reason in Reason if reason.value == text), Reason.SOURCE_UNREACHABLE)


def _progress(loading: list[ObservedPod]) -> str:
    """Progress in steps of 5 %, so that the status is not written at every byte."""
    slowest = min(loading, key=lambda pod: pod.fetch.bytes_done if pod.fetch else 0)
    fetch = slowest.fetch
    who = "1 worker fetches" if len(loading) == 1 else f"{len(loading)} workers fetch"
    if fetch is None or not fetch.bytes_total:
        return f"{who} the weights; {slowest.name} has just begun"
    percent = 100 * fetch.bytes_done // fetch.bytes_total // 5 * 5
    return f"{who} the weights; {slowest.name} has {percent} % of {fetch.bytes_total / 2**20:.0f} MiB"


def find_workers(facts: Facts) -> ConditionResult:
    """WorkersReady."""
    if facts.desired == 0 and not sum(facts.serving.values()):
        if facts.pool.spec.suspend:
            return ConditionResult("True", Reason.SUSPENDED, "spec.suspend is true: no worker runs")
        if facts.pool.spec.replicas == 0:
            return ConditionResult("True", Reason.SCALED_TO_ZERO, "spec.replicas is 0: no worker runs")
        if facts.demand is not None and facts.demand.asleep:
            text = "no request came of late, so no worker runs; the next one starts one"
            return ConditionResult("True", Reason.SCALED_TO_ZERO, text)
    count = f"{facts.ready_count} of {facts.desired} workers are ready"
    trouble = _trouble(facts, count)
    everywhere = not facts.zones_short and facts.demand is not None and facts.demand.targets
    # While nothing changes a worker in trouble beside a full number is on its way out; in a rollout it is the canary.
    if everywhere and (trouble is None or facts.state.canary is None):
        return ConditionResult("True", Reason.ALL_READY, count)
    if trouble is not None:
        return trouble
    lost = lost_nodes(facts.workers)
    if lost:
        count = f"{count}; {lost}"
    return _waiting(facts, count)


def _waiting(facts: Facts, count: str) -> ConditionResult:
    """What the workers that are missing wait for, where none of them is in trouble of its own."""
    if facts.missing:
        return ConditionResult(
            "False", Reason.NOT_ENOUGH_SLICES, f"{count}; CapacityAvailable says which slices are missing"
        )
    if facts.releasing:
        return ConditionResult("False", Reason.STARTING, f"{count}. {waits_for_release(facts.releasing)}")
    if _unschedulable(facts) is not None:
        return ConditionResult(
            "False", Reason.UNSCHEDULABLE, f"{count}; CapacityAvailable says what the others wait for"
        )
    claim = find_pending_claim(facts)
    if claim is not None:
        text = f"{count}; WeightsCached says why a claim has no volume"
        return ConditionResult("False", Reason.CLAIM_PENDING, text, helps=claim.helps)
    if facts.zones_short:
        return ConditionResult(
            "False", Reason.STARTING, f"{count}; starting in {zone_names(list(facts.zones_short))}{held_up_by(facts)}"
        )
    return ConditionResult("False", Reason.PENDING, f"{count}; no worker has been started yet")


def _trouble(facts: Facts, count: str) -> ConditionResult | None:
    """Why a worker cannot start, of whichever revision."""
    refused = find_refusal(facts)
    if refused is not None:
        return ConditionResult("False", refused.reason, f"{count}; {refused.message}", helps=refused.helps)
    unpulled = find_unpulled(facts.workers)
    if unpulled is not None:
        words, helps = unpulled
        return ConditionResult("False", Reason.IMAGE_NOT_PULLABLE, f"{count}; {words}", helps=helps)
    refusing = refused_by_worker(facts.workers)
    if refusing is not None:
        own = refusing[0] is Reason.BAD_SETTINGS
        return ConditionResult("False", Reason.BAD_SETTINGS if own else Reason.CRASH_LOOPING, f"{count}; {refusing[1]}")
    broken = failed_device(facts.workers)
    if broken is not None:
        return ConditionResult("False", Reason.DEVICE_FAILED, f"{count}; {broken}")
    for pod in facts.workers:
        if keeps_ending(pod):
            return ConditionResult("False", Reason.CRASH_LOOPING, f"{count}; {told_end(pod)}")
    return None
