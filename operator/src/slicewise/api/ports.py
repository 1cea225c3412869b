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
JOBS_PORT: Final = 8084
"""Jobs for clients, in the pods of the jobs API; the gateway routes there."""
JOBS_INTERNAL_PORT: Final = 9094
"""Health, metrics and standing of the jobs API, and the connections of dispatchers."""
DISPATCH_PORT: Final = 9095
"""Health, metrics and standing of a dispatcher of jobs."""
GATEWAY_JOBS_PORT: Final = 8085
"""Envoy's listener for the dispatchers of jobs. It asks for no key and trusts the tenant's header, so a policy keeps all others out."""
