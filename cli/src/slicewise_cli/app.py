"""The commands of `kubectl slicewise`, put together."""

from __future__ import annotations

from typing import Final

import typer

from slicewise.pool.rollout.request import Action
from slicewise_cli.commands.power import gate_power
from slicewise_cli.commands.revisions import history, undo
from slicewise_cli.commands.show import explain, get, slices
from slicewise_cli.commands.steer import steering

app: Final = typer.Typer(
    name="kubectl-slicewise",
    help="Watch, explain and steer the model rollouts of InferencePools.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("get")(get)
app.command("explain")(explain)
for _action in Action:
    app.command(_action.value)(steering(_action))
app.command("history")(history)
app.command("undo")(undo)
app.command("slices")(slices)
app.command("gate-power")(gate_power)
