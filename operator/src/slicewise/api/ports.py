"""Ports of the pods that a pool has, as their containers listen on them; the operator asks there, policies allow them."""

from __future__ import annotations

from typing import Final

WORKER_PORT: Final = 8080
"""The OpenAI API of a worker, its health, metrics, and `/v1/worker`."""
FETCH_PORT: Final = 9091
"""Progress and metrics of the container that fetches the weights."""
STATS_PORT: Final = 9090
"""Envoy's counters and readiness."""
AGENT_PORT: Final = 9092
"""What the gateway's agent says of the configuration, its health and metrics."""
EDGE_METRICS_PORT: Final = 9093
"""Health and metrics of the edge."""
