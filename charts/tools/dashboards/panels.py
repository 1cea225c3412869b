"""What the dashboards are made of: variables, rows and panels, all with the same data source and the same look.

Selectors: `OF_POOL` for metrics of the operator, whose labels are `namespace` and `pool`; `OF_PODS` for those of workers and gateways, to
which the chart's PodMonitors give the pool as `slicewise_dev_pool`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import dashboard as boards
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    ScaleDistributionConfig,
    StackingConfig,
    VizLegendOptions,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

OF_POOL: Final = 'namespace="$namespace",pool="$pool"'
OF_PODS: Final = 'namespace="$namespace",slicewise_dev_pool="$pool"'
_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="$datasource")
_HEIGHT: Final = 8

Panel = timeseries.Panel | stat.Panel | table.Panel | statetimeline.Panel


@dataclass(frozen=True, slots=True)
class Query:
    """What a panel asks Prometheus, and what each series is called."""

    expression: str
    legend: str = ""


def query(expression: str, legend: str = "") -> Query:
    """Return a query; `legend` may hold labels, as in `{{zone}}`."""
    return Query(" ".join(expression.split()), legend)


def _target(number: int, asked: Query) -> prometheus.Dataquery:
    made = prometheus.Dataquery().datasource(_SOURCE).expr(asked.expression).ref_id(chr(ord("A") + number))
    return made.legend_format(asked.legend) if asked.legend else made


def graph(
    title: str, says: str, unit: str, *asked: Query, stacked: bool = False, width: int = 12, log: bool = False
) -> timeseries.Panel:
    """Return a graph over time. `says` is its description, `unit` one of Grafana's, `width` of 24."""
    made = (
        timeseries.Panel()
        .title(title)
        .description(says)
        .datasource(_SOURCE)
        .unit(unit)
        .height(_HEIGHT)
        .span(width)
        .show_points(common.VisibilityMode.NEVER)
        .fill_opacity(20 if stacked else 0)
        .legend(VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM))
    )
    made = made.axis_soft_min(0) if not log else made.scale_distribution(_log())
    if stacked:
        made = made.stacking(StackingConfig().mode(common.StackingMode.NORMAL))
    for number, each in enumerate(asked):
        made = made.with_target(_target(number, each))
    return made


def _log() -> ScaleDistributionConfig:
    return ScaleDistributionConfig().type(common.ScaleDistribution.LOG).log(10)


def number(title: str, says: str, unit: str, *asked: Query, width: int = 4) -> stat.Panel:
    """Return a number as it is now."""
    made = (
        stat.Panel()
        .title(title)
        .description(says)
        .datasource(_SOURCE)
        .unit(unit)
        .height(4)
        .span(width)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
    )
    for place, each in enumerate(asked):
        made = made.with_target(_target(place, each).instant())
    return made


def states(title: str, says: str, *asked: Query, width: int = 24) -> statetimeline.Panel:
    """Return which series were there over time: one line a series, coloured while it is."""
    made = statetimeline.Panel().title(title).description(says).datasource(_SOURCE).height(_HEIGHT).span(width)
    for place, each in enumerate(asked):
        made = made.with_target(_target(place, each))
    return made


def listing(title: str, says: str, asked: Query, hidden: Iterable[str] = (), width: int = 24) -> table.Panel:
    """Return a table of the labels of the series that are there now."""
    never = dict.fromkeys(("Time", "Value", "__name__", "instance", "job", "endpoint", "service", *hidden), True)
    return (
        table.Panel()
        .title(title)
        .description(says)
        .datasource(_SOURCE)
        .height(_HEIGHT)
        .span(width)
        .with_target(_target(0, asked).instant().format(PromQueryFormat.TABLE))
        .with_transformation(DataTransformerConfig(id_val="organize", options={"excludeByName": never}))
    )


def board(uid: str, title: str, says: str, rows: dict[str, list[Panel]], *variables: boards.QueryVariable) -> Dashboard:
    """Return a dashboard: rows by their heading, below the choice of the data source and of `variables`."""
    made = (
        boards.Dashboard(title)
        .uid(uid)
        .description(says)
        .tags(["slicewise"])
        .editable()
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .link(boards.DashboardLink("Slicewise").type(DashboardLinkType.DASHBOARDS).tags(["slicewise"]).keep_time(True))
        .with_variable(boards.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for variable in variables:
        made = made.with_variable(variable)
    for heading, panels in rows.items():
        made = made.with_row(boards.Row(heading))
        for panel in panels:
            made = made.with_panel(panel)
    done = made.build()
    for place, each in enumerate(done.panels or (), 1):
        each.id_val = place
    return done


def variable(name: str, label: str, values: str) -> boards.QueryVariable:
    """Return a variable whose values Prometheus knows, as in `label_values(metric, label)`."""
    return (
        boards.QueryVariable(name)
        .label(label)
        .datasource(_SOURCE)
        .query(values)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def one_pool() -> tuple[boards.QueryVariable, boards.QueryVariable]:
    """Return the variables that choose a pool."""
    return (
        variable("namespace", "Namespace", "label_values(slicewise_pool_info, namespace)"),
        variable("pool", "Pool", 'label_values(slicewise_pool_info{namespace="$namespace"}, pool)'),
    )


def text(made: Dashboard) -> str:
    """Return the JSON of a dashboard, the same for the same dashboard."""
    return str(JSONEncoder(sort_keys=True, indent=1, ensure_ascii=False).encode(made)) + "\n"
