"""The generated pages name everything that the code has, and say what each is."""

from __future__ import annotations

import ast
import re

import pytest
import write_pages
from docpages import errors, events, jobs_errors, metrics, sources
from docpages.source_code import REPOSITORY, calls, constant

from slicewise.api.v1alpha1 import CONDITIONS
from slicewise.pool.report import _TOLD
from slicewise_jobs.http.openapi.document import document
from slicewise_jobs.http.openapi.errors import ALWAYS, SOME

CLASSES = frozenset(
    {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum", "GaugeMetricFamily", "CounterMetricFamily"}
)
PROGRAMS = ("operator/src", "worker-image/src", "gateway/src", "jobs/src")


def page(name):
    return (REPOSITORY / "docs/reference" / name).read_text()


def metric_names():
    """Pattern of each metric that the source code makes → where; what an f-string puts in may be any word."""
    found = {}
    for folder in PROGRAMS:
        for call in calls(folder, CLASSES):
            first = call.argument(0, "name")
            if isinstance(first, ast.JoinedStr):
                parts = [str(constant(part) or "[a-z_]+") for part in first.values]
                found["".join(parts)] = call.where
            elif isinstance(name := constant(first), str):
                found[name] = call.where
    return found


@pytest.mark.parametrize("path", list(write_pages.outputs()), ids=str)
def test_a_page_is_what_the_code_says(path):
    assert (REPOSITORY / path).read_text() == write_pages.outputs()[path], "run make generate"


def test_every_metric_in_the_code_is_on_the_page():
    names = metric_names()
    assert len(names) > 40
    text = page("metrics.md")
    assert {name: where for name, where in names.items() if not re.search(f"`{name}(_total|_info)?`", text)} == {}


def test_every_metric_says_what_it_counts():
    assert [item.name for each in metrics.programs().values() for item in each if len(item.text) < 10] == []


def test_every_event_in_the_code_has_a_meaning_and_a_line():
    assert set(events.reasons_in_code()) == set(events.MEANINGS)
    text = page("events.md")
    told = {reason.value for kind in _TOLD for reason in CONDITIONS[kind].reasons}
    assert [reason for reason in {*events.MEANINGS, *told} if f"`{reason}`" not in text] == []


def test_every_error_code_in_the_code_has_a_meaning_and_a_line():
    found = errors.codes_in_code()
    assert set(found["gateway"]) == set(errors.GATEWAY)
    assert set(found["worker"]) == set(errors.WORKER)
    assert all(found[part][code] for part in found for code in found[part]), "a code without a status"


def test_every_error_of_the_api_of_jobs_has_a_meaning_a_line_and_a_status_of_its_document():
    found = jobs_errors.codes_in_code()
    assert set(found) == set(jobs_errors.JOBS)
    documented = {*ALWAYS, *SOME, 405}  # 405 is of no operation
    assert set().union(*found.values()) <= documented
    text = page("errors.md").partition("## Of the API of jobs")[2]
    assert [code for code in found if f"`{code}`" not in text] == []


def test_every_path_and_field_of_the_document_of_jobs_is_on_its_page():
    text, found = page("jobs-api.md"), document()
    for path, item in found["paths"].items():
        for method in item:
            assert f"\n## {method.upper()} {path}\n" in text
    for name, schema in found["components"]["schemas"].items():
        part = text.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
        assert [each for each in schema["properties"] if name != "Error" and f"| `{each}` |" not in part] == [], name


def test_a_code_that_is_computed_anew_is_found(monkeypatch):
    monkeypatch.setattr(errors, "_COMPUTED", {})
    with pytest.raises(LookupError, match=r"answer\.py"):
        errors.codes_in_code()


def test_the_sources_are_those_of_the_worker(monkeypatch):
    assert "`http://host/path/file.gguf` | yes | only with" in sources.table()
    monkeypatch.setattr(sources, "FORMS", sources.FORMS[:-1])
    with pytest.raises(LookupError, match="ClaimSource"):
        sources.table()
