"""Templates come with model files, so they are not trusted: each attack ends within its bounds, and is told."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slicewise_worker.chat.conversation import Turn
from slicewise_worker.chat.prove import start_chat
from slicewise_worker.chat.renderer import Renderer, TemplateBrokenError, TemplateLimitError

SAFE = "{% for m in messages %}{{ m.content }}{% endfor %}"
HI = [{"role": "user", "content": "Hi"}]
MEMORY, ROOM = "256 MiB of memory", "prompt of more than"
# On a machine that has no processor time to give, the clock ends it.
TIME = "5 s of processor time|did not come to an end in 120 s"

ATTACKS = {
    "nested loops": ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", TIME),
    "a huge range": ("{% for i in range(99999999) %}x{% endfor %}", "Range too big"),
    "a long text": ("{{ 'x' * 10**10 }}", MEMORY),
    "a long text that is not constant": ("{{ 'xxxxxxxx' * (messages|length * 10) ** 9 }}", MEMORY),
    "a long list": ("{{ [1] * 10**9 }}", MEMORY),
    "a huge number": ("{% set n = messages|length + 9 %}{% for i in [0] %}{{ n ** (n ** 8) }}{% endfor %}", TIME),
    "doubling": (
        "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
        MEMORY,
    ),
    "much output": ("{% for i in range(9999) %}{{ 'xxxxxxxxxx' * 999 }}{% endfor %}", ROOM),
    "a wide number": ("{{ '%099999999999d' % 1 }}", MEMORY),
    "a wide field": ("{{ '{:99999999999}'.format(1) }}", MEMORY),
    "a wide centre": ("{{ 'x' | center(10**11) }}", MEMORY),
    "a wide indent": ("{{ messages | tojson(indent=10**9) }}", MEMORY),
    "a macro that calls itself": ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "calls itself"),
    "a loop that calls itself": ("{% for x in [[[]]] recursive %}{{ loop([1, x]) }}{% endfor %}", "calls itself"),
    "brackets": ("{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}", "nested too deeply"),
    "conditions": ("{% if 1 %}" * 5000 + "{% endif %}" * 5000, "nested too deeply"),
    "classes": ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "may not do"),
    "globals of an object": ("{{ messages.__init__.__globals__ }}", "may not do"),
    "globals of a function": ("{{ raise_exception.__globals__['__builtins__'] }}", "may not do"),
    "a program": ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", "may not do"),
    "a filter that gets attributes": ("{{ (''|attr('__class__')).mro() }}", r"\w"),
    "a format that gets attributes": ("{{ '{0.__class__.__mro__}'.format(1) }}", r"\w"),
    "a change of the messages": ("{% for m in messages %}{{ messages.append(m) }}{% endfor %}", "may not do"),
    "a file": ("{% include '/etc/passwd' %}", "no loader"),
    "a module": ("{% import '/etc/passwd' as x %}", "no loader|without the text"),
    "a long source": ("x" * ((1 << 20) + 1), "characters"),
    "no template": ("{% if %}", "line 1"),
    "half a character": ("{{ '\\ud800' }}", "without the text"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_within_bounds_and_is_told(name: str) -> None:
    source, words = ATTACKS[name]
    with pytest.raises(TemplateBrokenError, match=words) as error:
        start_chat(source, {})
    assert len(str(error.value)) < 700


@contextmanager
def rendering(source: str) -> Iterator[Renderer]:
    renderer = Renderer(source, {})
    try:
        yield renderer
    finally:
        renderer.close()


def test_after_an_attack_by_one_conversation_the_next_is_rendered() -> None:
    source = SAFE + "{% if messages[0].content == 'bomb' %}{{ 'x' * 10**10 * messages|length }}{% endif %}"
    with rendering(source) as renderer:
        for _ in range(3):
            with pytest.raises(TemplateLimitError, match="memory"):
                renderer.render([{"role": "user", "content": "bomb"}])
            assert renderer.render(HI) == "Hi"


def test_a_renderer_that_is_killed_is_started_again() -> None:
    with rendering(SAFE) as renderer:
        assert renderer._child is not None
        renderer._child._process.kill()
        renderer._child._process.wait()
        assert renderer.render(HI) == "Hi"


def test_a_long_conversation_is_rendered_within_the_bounds() -> None:
    many = [{"role": "user", "content": "\N{GRINNING FACE}" * 400}] * 10_000
    with rendering(SAFE) as renderer:
        assert renderer.render(many) == "\N{GRINNING FACE}" * 4_000_000


def test_renderings_from_many_threads_do_not_mix() -> None:
    wrong: list[str] = []

    def render(name: str) -> None:
        found = {renderer.render([{"role": "user", "content": name}]) for _ in range(50)}
        wrong.extend(found - {name})

    with rendering(SAFE) as renderer:
        threads = [threading.Thread(target=render, args=(f"t{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_the_process_that_renders_sees_no_environment_and_may_not_write() -> None:
    with rendering(SAFE) as renderer:
        assert renderer._child is not None
        folder = Path(f"/proc/{renderer._child._process.pid}")
        names = {entry.split("=")[0] for entry in (folder / "environ").read_text().split("\0") if entry}
        limits = (folder / "limits").read_text()
    assert names <= {"TZ", "LD_LIBRARY_PATH", "LC_CTYPE", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
    assert "Max file size             0 " in limits


def test_the_process_finds_its_packages_where_only_the_search_path_names_them() -> None:
    """As in the image, where nothing is installed into Python itself."""
    ask = f"from slicewise_worker.chat.renderer import Renderer; print(Renderer({SAFE!r}, {{}}).render({HI!r}))"
    environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONSAFEPATH": "1"}
    base = getattr(sys, "_base_executable", sys.executable)
    done = subprocess.run([base, "-c", ask], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("Hi\n", "")


def test_a_template_that_takes_text_in_parts_gets_it_so() -> None:
    source = "{% for m in messages %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}{% endfor %}"
    chat = start_chat(source, {})
    assert chat.manner.in_parts
    assert chat.render([Turn("user", "Hi")]) == "Hi"
    chat.renderer.close()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ raise_exception('never') }}", "refuses a single message of a user: never"),
        ("a prompt", "without the text of the user's message"),
        ("{{ messages[1].content.x.y }}", "fails for a single message of a user"),
    ],
)
def test_a_template_that_cannot_render_a_plain_conversation_is_broken(source: str, words: str) -> None:
    with pytest.raises(TemplateBrokenError, match=words):
        start_chat(source, {})
