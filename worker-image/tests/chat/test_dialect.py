"""What Hugging Face's dialect has beyond Jinja, one expression a time."""

from __future__ import annotations

from datetime import datetime

import pytest
from jinja2 import TemplateError

from slicewise_worker.chat.dialect import RefusedByTemplateError, compile_template

MESSAGES = [{"role": "user", "content": "Hi <b> é"}]


def render(source: str) -> str:
    return compile_template(source, {"bos_token": "<s>"})(MESSAGES)


@pytest.mark.parametrize(
    ("source", "prompt"),
    [
        ("a{% generation %}b{{ bos_token }}{% endgeneration %}c", "ab<s>c"),
        ("{%- for m in messages -%}{%- generation -%} {{ m.role }} {%- endgeneration -%}{%- endfor -%}", "user"),
        ("{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}", "21"),
        ("{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "02"),
        ("{% for i in range(3) %}{% generation %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% endgeneration %}{% endfor %}", "0"),
        ("{{ messages | tojson }}", '[{"role": "user", "content": "Hi <b> é"}]'),
        ("{{ {'b': 1, 'a': 'é'} | tojson(ensure_ascii=True) }}", '{"b": 1, "a": "\\u00e9"}'),
        ("{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}", '{"a": 2, "b": 1}'),
        ("{{ {'b': 1, 'a': 2} | tojson(separators=(',', ':')) }}", '{"b":1,"a":2}'),
        ("{{ {'b': [1]} | tojson(indent=2) }}", '{\n  "b": [\n    1\n  ]\n}'),
        ("{{ {'b': 1} | tojson(indent='\t') }}", '{\n\t"b": 1\n}'),
        ("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}", "1"),
        ("{{ tools is defined }} {{ tools is none }} {{ documents is none }} {{ custom_tools is defined }}", "True True True False"),
        ("{% if tools %}x{% endif %}{% if documents %}y{% endif %}{% if enable_thinking is defined %}z{% endif %}.", "."),
        ("{{ add_generation_prompt }}", "True"),
        ("    {% if true %}\nx\n    {% endif %}\ny", "x\ny"),
        ("{{ unknown }}{{ messages[0].unknown }}.", "."),
        ("{{ 'a b'.split(' ')[-1].strip().title() }}{{ {'k': 1}.items() | list }}", "B[('k', 1)]"),
        ("{%- macro twice(x) -%}{{ x }}{{ x }}{%- endmacro -%}{{ twice('a') }}", "aa"),
        ("{{ messages | map(attribute='role') | join(',') }}{{ messages | selectattr('role', 'equalto', 'x') | list }}", "user[]"),
    ],
)  # fmt: skip
def test_an_expression_of_the_dialect(source: str, prompt: str) -> None:
    assert render(source) == prompt


def test_the_time_is_there() -> None:
    years = {str(datetime.now().astimezone().year)}
    found = render("{{ strftime_now('%Y') }}")
    assert found in years | {str(datetime.now().astimezone().year)}


@pytest.mark.parametrize(("call", "words"), [("'no tools, please'", "no tools, please"), ("", "refuses this")])
def test_a_template_refuses_in_its_own_words(call: str, words: str) -> None:
    with pytest.raises(RefusedByTemplateError, match=words):
        render(f"{{{{ raise_exception({call}) }}}}")


@pytest.mark.parametrize("source", ["{% if %}", "{% generation %}x", "{% endgeneration %}", "{% nothing %}"])
def test_what_does_not_compile(source: str) -> None:
    with pytest.raises(TemplateError):
        render(source)
