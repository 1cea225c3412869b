"""docs/reference/events.md: every Event, found in the operator's source code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from docpages.source_code import Call, calls, constant
from slicewise.api.v1alpha1 import CONDITIONS
from slicewise.pool.report import _TOLD
from slicewise.pool.rollout.state import Phase

FROM_A_CONDITION: Final = "result.reason.value"
"""How the operator writes the reason of an Event that repeats a condition."""
_PHASE: Final = "{after.phase}"

MEANINGS: Final = {
    "RolloutPlacing": "A new revision was found, and a slice for its first worker is looked for.",
    "RolloutWarming": "The canary's worker has a slice and loads its weights.",
    "RolloutAnalysing": "The canary gets its weight of the requests and is judged; again at each next step.",
    "RolloutExtended": "The canary was undecided when its window ended, and its weight was doubled.",
    "RolloutUndecided": "The canary was undecided at `deadline`, and `onUndecided` is `Hold`.",
    "RolloutOutlook": "How long the gate takes at this traffic. A Warning where it takes longer than `deadline`.",
    "RolloutPromoting": "The canary passed, or was promoted by request; the old workers are replaced one by one.",
    "Promoted": "The new revision has replaced the old one in all zones.",
    "RolloutRollingBack": "The canary was given up and gets no more requests; its workers are being replaced.",
    "RolloutRolledBack": "Only the stable revision is left. The pool waits for a change of the spec or a retry.",
    "RolloutIdle": "One revision serves: a new pool's first one, or the stable one that the spec asks for again.",
    "RolloutPaused": "The rollout is held, by `spec.rollout.paused` or by request.",
    "RolloutResumed": "The rollout goes on after a pause.",
    "ScaledUp": "The load asks for more workers, or the bounds of `spec.autoscaling` do.",
    "ScaledDown": "The load has asked for fewer workers throughout the hold, or the bounds do.",
    "ScalingAdvised": "What would follow the load, with `mode: Advise` or beside another autoscaler; `spec.replicas` holds.",
    "RequestNotUnderstood": "The annotation `slicewise.dev/rollout-request` is not a valid request; the message says what to write.",
    "FallbackStarted": "No slice has served for 15 s, and the CPU fallback is asked for.",
    "FallbackEnded": "Slices have served for a minute, or the pool has no workers on purpose; the CPU fallback ends.",
}
"""Reason → what it says. `reasons_in_code` finds the reasons; a test compares the two."""

_HEAD: Final = """# Events

`kubectl describe ipool NAME` shows a pool's Events; `kubectl get events --field-selector involvedObject.kind=InferencePool`
shows those of a namespace. An Event is written when something changes. The same sentence again only raises the count of the
Event that exists, at most once in ten minutes. Programs should read conditions instead: most clusters delete Events after an
hour.

## Rollouts, scaling and fallback

| reason | type | when |
|---|---|---|
"""
_CONDITIONS: Final = """
## Conditions

When one of these conditions gets another reason, an Event has that reason and the condition's message
([what each reason means](inferencepool.md#reasons)). It is a Warning where the condition reports a fault, and Normal otherwise.

| condition | reasons |
|---|---|
"""


def reasons_in_code() -> dict[str, set[str]]:
    """Return reason → types, of the Events that the operator writes besides those of conditions; raises for one that cannot be read."""
    found: dict[str, set[str]] = {}
    for call in calls("operator/src/slicewise/pool", frozenset({"Event"})):
        kinds, reason = call.argument(0, "type"), call.argument(1, "reason")
        if kinds is None or reason is None or ast.unparse(reason) == FROM_A_CONDITION:
            continue
        for word in _words(reason, call):
            found.setdefault(word, set()).update(_types(word, kinds, call))
    return found


def page() -> str:
    """Return the page as Markdown."""
    found = reasons_in_code()
    rows = [
        f"| `{word}` | {', '.join(sorted(found[word]))} | {text} |" for word, text in MEANINGS.items() if word in found
    ]
    told = [
        f"| `{kind.value}` | {', '.join(f'`{reason.value}`' for reason in CONDITIONS[kind].reasons)} |"
        for kind in _TOLD
    ]
    return _HEAD + "\n".join(rows) + "\n" + _CONDITIONS + "\n".join(told) + "\n"


def _words(node: ast.expr, call: Call) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from _words(node.body, call)
        yield from _words(node.orelse, call)
    elif isinstance(node, ast.JoinedStr):
        text = ast.unparse(node).removeprefix("f").strip("'\"")
        if _PHASE not in text:
            raise LookupError(f"{call.where}: the reason {text} is not known before it runs")
        yield from (text.replace(_PHASE, phase.value) for phase in Phase)
    elif isinstance(word := constant(node), str):
        yield word
    else:
        raise LookupError(f"{call.where}: the reason {ast.unparse(node)} is not known before it runs")  # noqa: TRY004


def _types(word: str, node: ast.expr, call: Call) -> set[str]:
    """Return the types; those of phases depend on the phase (`events._phase`)."""
    if isinstance(node, ast.IfExp):
        if call.positional[1:] and isinstance(call.positional[1], ast.JoinedStr):
            return {"Warning" if word in {"RolloutRollingBack", "RolloutRolledBack"} else "Normal"}
        return {str(constant(node.body)), str(constant(node.orelse))}
    return {str(constant(node))}
