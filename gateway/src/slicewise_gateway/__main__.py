"""Entry point of `slicewise-gateway`."""

from __future__ import annotations

import asyncio
import sys

import structlog

from slicewise_gateway import logs
from slicewise_gateway.environment import SettingsError
from slicewise_gateway.memory import without_public_authorities
from slicewise_gateway.settings import EdgeSettings, GatewaySettings

log = structlog.get_logger(__name__)


def main() -> None:
    """Run `seed`, `agent` or `edge`; exits 1 with one readable line when it cannot."""
    logs.configure("info", "json")
    command = sys.argv[1] if len(sys.argv) == 2 else ""
    if command not in {"seed", "agent", "edge"}:
        sys.exit("usage: slicewise-gateway seed|agent|edge")
    try:
        _run(command)
    except SettingsError as error:
        log.error("settings not valid", error=str(error))  # noqa: TRY400 - a sentence, not a trace
        sys.exit(1)
    except (OSError, ValueError) as error:
        log.error("command failed", command=command, error=str(error))  # noqa: TRY400 - a sentence, not a trace
        sys.exit(1)


def _run(command: str) -> None:
    """Run one command. Each loads its own part only: both run beside every Envoy, and what one never uses is half of its memory."""
    if command == "edge":
        with without_public_authorities():
            from slicewise_gateway.serve_edge import run_edge  # noqa: PLC0415

        edge = EdgeSettings.read()
        logs.configure(edge.log_level, edge.log_format)
        asyncio.run(run_edge(edge))
        return
    with without_public_authorities():
        from slicewise_gateway.serve import run_agent, seed  # noqa: PLC0415

    settings = GatewaySettings.read()
    logs.configure(settings.log_level, settings.log_format)
    if command == "seed":
        seed(settings)
    else:
        asyncio.run(run_agent(settings))


if __name__ == "__main__":
    main()
