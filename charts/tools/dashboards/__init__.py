"""The dashboards for Grafana as code. `chart_files.py` writes each as JSON into the chart."""

from dashboards.cost import cost
from dashboards.fleet import fleet
from dashboards.jobs import jobs
from dashboards.panels import text
from dashboards.pool import pool
from dashboards.rollout import rollout
from dashboards.scaling import scaling


def dashboards() -> dict[str, str]:
    """Return uid → JSON of each dashboard."""
    made = (fleet(), pool(), rollout(), scaling(), jobs(), cost())
    return {str(each.uid): text(each) for each in made}
