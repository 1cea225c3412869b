"""A model file is loaded only when its digest is counted again and right."""

from __future__ import annotations

from pathlib import Path

import pytest

from slicewise_worker.engine.weights import WeightsError, read_result, verify


def go_on(_done: int) -> bool:
    return True


def test_a_file_with_the_right_digest_passes_and_progress_reaches_its_size(tiny: Path, weights_file) -> None:
    weights = read_result(weights_file(tiny))
    seen: list[int] = []
    verify(weights, lambda done: seen.append(done) is None)
    assert seen[-1] == weights.bytes == tiny.stat().st_size


def test_one_flipped_bit_is_named(tiny: Path, tmp_path: Path, weights_file) -> None:
    damaged = tmp_path / "model.gguf"
    data = bytearray(tiny.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    result = weights_file(tiny)
    result.write_text(result.read_text().replace(str(tiny), str(damaged)))
    with pytest.raises(WeightsError, match="the cached file is damaged") as error:
        verify(read_result(result), go_on)
    assert error.value.reason == "DigestMismatch"


def test_a_file_that_is_no_model_is_named(tmp_path: Path, weights_file) -> None:
    page = tmp_path / "model.gguf"
    page.write_text("<html>not found</html>")
    with pytest.raises(WeightsError, match="no GGUF file") as error:
        verify(read_result(weights_file(page)), go_on)
    assert error.value.reason == "ModelCorrupt"


def test_a_worker_that_is_told_to_stop_stops_counting(tiny: Path, weights_file) -> None:
    with pytest.raises(WeightsError) as error:
        verify(read_result(weights_file(tiny)), lambda _done: False)
    assert error.value.reason == "Interrupted"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "did the init container run"),
        ("", "cannot be read"),
        ("{}", "cannot be read"),
        ('{"path": "/weights/m", "digest": "md5:1", "bytes": 1}', "digest"),
    ],
)
def test_a_result_that_is_missing_or_broken_is_said_in_words(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "weights.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(WeightsError, match=words) as error:
        read_result(path)
    assert error.value.reason == "WeightsMissing"


def test_a_model_that_is_gone_is_said_in_words(tmp_path: Path) -> None:
    result = tmp_path / "weights.json"
    result.write_text(f'{{"path": "{tmp_path}/gone.gguf", "digest": "sha256:{"0" * 64}", "bytes": 1}}')
    with pytest.raises(WeightsError, match="cannot read"):
        verify(read_result(result), go_on)
