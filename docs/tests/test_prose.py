"""The check of wording finds what it should, where it should."""

from __future__ import annotations

import prose

PHRASES = {"anew": "again"}


def found(path, text):
    path.write_text(text)
    return [(number, phrase) for number, phrase, _ in prose.findings(prose.prose_of(path), PHRASES)]


def test_text_is_read_and_code_is_not(tmp_path):
    page = "Begin anew.\n```\nanew\n```\n`anew` and renewanew\n<!-- x: begin -->\nanew\n<!-- x: end -->\nAnew.\n"
    assert found(tmp_path / "page.md", page) == [(1, "anew"), (9, "Anew")]


def test_comments_and_docstrings_of_python_are_read(tmp_path):
    code = '"""Begin\nanew."""\nanew = "anew"  # anew\nfield = 1\n"""Counted anew."""\n'
    assert sorted(found(tmp_path / "code.py", code)) == [(2, "anew"), (3, "anew"), (5, "anew")]


def test_the_documentation_has_none_of_them():
    assert prose.main() == 0
