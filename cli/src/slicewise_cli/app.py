"""The commands of `kubectl slicewise`, put together."""

from __future__ import annotations

from typing import Final

import typer

from slicewise_cli.commands.cost import cost
from slicewise_cli.commands.explain import explain
from slicewise_cli.commands.gate_power import gate_power
from slicewise_cli.commands.get import get
from slicewise_cli.commands.history import history
from slicewise_cli.commands.jobs import jobs
from slicewise_cli.commands.slices import slices
from slicewise_cli.commands.steer import ACTIONS, steering
from slicewise_cli.commands.undo import undo

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
for _action in ACTIONS:
    app.command(_action)(steering(_action))
app.command("history")(history)
app.command("undo")(undo)
app.command("slices")(slices)
app.command("cost")(cost)
app.command("jobs")(jobs)
app.command("gate-power")(gate_power)
