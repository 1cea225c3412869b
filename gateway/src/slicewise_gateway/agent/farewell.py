"""The last word of a gateway in a namespace that is being deleted, so that the namespace goes within seconds.

Kubernetes' namespace controller looks again after half the longest grace period among the namespace's pods, or when the
Namespace changes. A worker's grace period is an hour, as long as the longest request; an idle worker ends after seconds, and
nothing tells the controller. So the gateway, which ends after the requests it has passed on, changes the Namespace: one
condition in its status.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import structlog

from slicewise_gateway.agent.kube import ApiServer
from slicewise_gateway.agent.successor import is_ending
from slicewise_gateway.logs import error_text

log = structlog.get_logger(__name__)

CONDITION: Final = "SlicewiseGatewayEnded"
_ANSWER_SECONDS: Final = 3


def condition(pod: str, now: datetime) -> dict[str, Any]:
    """Return the condition that says which gateway pod has ended. It differs from that of any other pod, or it would change nothing."""
    return {
        "type": CONDITION,
        "status": "True",
        "reason": "NamespaceTerminating",
        "message": f"gateway pod {pod} has finished its requests and ended",
        "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


async def farewell(server: ApiServer, namespace: str, pod: str) -> None:
    """Write the condition if the namespace is being deleted. A failure costs time only, and is logged."""
    url = f"{server.url}/api/v1/namespaces/{namespace}"
    try:
        async with server.session() as session:
            if not is_ending(await server.get(session, url, {}, _ANSWER_SECONDS)):
                return
            # Conditions are merged by their type, so those of others stay.
            body = {"status": {"conditions": [condition(pod, datetime.now(UTC))]}}
            await server.patch_status(session, url, body, _ANSWER_SECONDS)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        log.info("end of this pod not written to the namespace", namespace=namespace, error=error_text(error))
