"""The options that commands share, named as kubectl names them, and how a command's work is run."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, TypeVar

import typer

from slicewise_cli.options import Form

T = TypeVar("T")


def complete_pool(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a pool's name from the cluster; nothing where it does not answer at once."""
    from slicewise_cli.work.completion import pool_names

    options = {name: ctx.params.get(name) for name in ("context", "namespace", "kubeconfig")}
    return [name for name in pool_names(**options) if name.startswith(incomplete)]


PoolName = Annotated[
    str, typer.Argument(metavar="NAME", help="The pool.", autocompletion=complete_pool, show_default=False)
]
Context = Annotated[
    str | None,
    typer.Option("--context", help="Context of the kubeconfig. Default: its current one.", show_default=False),
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace. Default: the context's.", show_default=False)
]
Kubeconfig = Annotated[
    str | None,
    typer.Option("--kubeconfig", help="The kubeconfig. Default: KUBECONFIG, else ~/.kube/config.", show_default=False),
]
Output = Annotated[
    Form | None, typer.Option("--output", "-o", help="Data instead of text.", show_default=False, case_sensitive=False)
]


def run(work: Coroutine[None, None, T]) -> T:
    """Run a command's work to its end."""
    return asyncio.run(work)
