"""promote, abort, retry, pause, resume, skip-step: requests about the rollout that is under way."""

from __future__ import annotations

from collections.abc import Callable

from slicewise.pool.rollout.request import Action
from slicewise_cli.commands.options import Context, Kubeconfig, Namespace, Output, PoolName, run
from slicewise_cli.options import Target

HELP = {
    Action.PROMOTE: "Let the canary take over as soon as it serves, whatever the gate says.",
    Action.ABORT: "Give the canary up: its requests go back to the stable revision, then its workers go.",
    Action.RETRY: "Begin the rollout that was given up anew.",
    Action.PAUSE: "Hold the rollout where it is. Only this attempt; spec.rollout.paused holds all.",
    Action.RESUME: "End a pause that was asked for by `pause`.",
    Action.SKIP_STEP: "Count the present step as passed.",
}


def steering(action: Action) -> Callable[..., None]:
    """Return the command for an action."""

    def command(
        name: PoolName,
        output: Output = None,
        context: Context = None,
        namespace: Namespace = None,
        kubeconfig: Kubeconfig = None,
    ) -> None:
        from slicewise_cli.work.steer import ask

        run(ask(action, Target(context, namespace, kubeconfig), name, output))

    command.__doc__ = HELP[action]
    return command
