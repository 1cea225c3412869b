"""What `make fuzz` relies on: an input without an end is ended, and what is counted is what was run."""

from __future__ import annotations

import fuzzing
import pytest
from fuzzing import NOW, Figures, fuzzed, in_time
from hypothesis import strategies as st


def test_an_input_that_takes_too_much_processor_time_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "SECONDS", 0.05)
    with pytest.raises(AssertionError, match="processor time"), in_time():
        sum(iter(lambda: 1, 0))


def test_inputs_are_counted_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NOW, "inputs", 0)
    seen: list[int] = []

    def see(number: int) -> None:
        seen.append(number)

    test = fuzzed(7, st.integers(), each=2)(see)
    assert [mark.name for mark in test.pytestmark] == ["fuzz"]
    test()
    assert (len(seen), NOW.inputs) == (7, 14)


@pytest.mark.parametrize(("batches", "warm"), [(1, 1), (4, 1), (5, 2), (20, 5)])
def test_memory_is_compared_with_that_after_the_first_quarter(batches: int, warm: int) -> None:
    assert Figures(memory=[*range(1, batches + 1)]).warm == warm
