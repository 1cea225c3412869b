"""The options that commands share, named as kubectl names them, and how a command runs."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Annotated, Final, TypeVar

import typer

from slicewise_cli.errors import CommandError
from slicewise_cli.options import Form, Target

T = TypeVar("T")
_COMPLETION_SECONDS: Final = 2.0


def run(work: Coroutine[None, None, T]) -> T:
    """Run the asynchronous part of a command, and end its connections with it.

    A request that is left before its end (a watch, say) leaves a connection behind that is still shaking hands or still ending TLS
    politely, and that nothing else can reach; the event loop ends before that is over.
    """
    import asyncio

    async def ended() -> T:
        try:
            return await work
        finally:
            # Private, and not there in other loops: what is missed then is a socket that Python's collector closes.
            for transport in list(getattr(asyncio.get_running_loop(), "_transports", {}).values()):
                transport.abort()

    return asyncio.run(ended())


def complete_pool(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the pool names that complete a word; none if the cluster does not answer within two seconds."""
    target = Target(*(ctx.params.get(name) for name in ("context", "namespace", "kubeconfig")))
    return [name for name in run(_pool_names(target)) if name.startswith(incomplete)]


async def _pool_names(target: Target) -> list[str]:
    import asyncio

    from slicewise.clients.kube import ApiError
    from slicewise_cli.kube import open_cluster, read_many

    try:
        async with (
            asyncio.timeout(_COMPLETION_SECONDS),
            open_cluster(target, seconds=_COMPLETION_SECONDS) as cluster,
        ):
            return sorted(pool["metadata"]["name"] for pool in await read_many(cluster))
    except (CommandError, ApiError, OSError, TimeoutError):
        return []


PoolName = Annotated[
    str, typer.Argument(metavar="NAME", help="The pool.", autocompletion=complete_pool, show_default=False)
]
Context = Annotated[
    str | None,
    typer.Option("--context", help="Context in the kubeconfig. Default: the current context.", show_default=False),
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace. Default: the namespace of the context.", show_default=False),
]
Kubeconfig = Annotated[
    str | None,
    typer.Option(
        "--kubeconfig", help="Path of the kubeconfig. Default: KUBECONFIG, else ~/.kube/config.", show_default=False
    ),
]
Output = Annotated[
    Form | None,
    typer.Option("--output", "-o", help="Print data instead of text.", show_default=False, case_sensitive=False),
]
