"""Entry point of the operator: settings, logs, one event loop."""

from __future__ import annotations

import asyncio
import sys

from pydantic import ValidationError

from slicewise.controller.operator import Operator
from slicewise.settings import OperatorSettings
from slicewise.telemetry.logs import configure_logs


def main() -> None:
    """Run the operator until SIGTERM (exit code 0), or until its watches end by themselves (1). Bad settings: 2."""
    try:
        settings = OperatorSettings()
    except ValidationError as error:
        sys.stderr.write(f"bad settings: {error}\n")
        sys.exit(2)
    configure_logs(settings.log_level, settings.log_format)
    asyncio.run(_run(settings))


async def _run(settings: OperatorSettings) -> None:
    await Operator(settings).run()


if __name__ == "__main__":
    main()
