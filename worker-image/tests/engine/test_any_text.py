"""No text ends the process, whatever the pre-tokenizer and the vocabulary, and ordinary text keeps its tokens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from any_text import load

from slicewise_worker.engine.binding import api
from slicewise_worker.engine.fit import UnusableError, measure
from slicewise_worker.engine.llama import ContextShape, start_backend
from slicewise_worker.engine.segments import SEGMENT_CHARACTERS
from slicewise_worker.engine.tokenizer import Tokenizer, TooLongError

ROOT = Path(__file__).parents[3]
PROGRAM = Path(__file__).with_name("any_text.py")
PARTS = 8
pytestmark = pytest.mark.timeout(900)
ABORTS = "whitespace"
"""llama.cpp itself ends the process on two blanks in a row with this one; a model that has it is not served."""

PROSE = (ROOT / "worker-image/models/prose.txt").read_text()
ORDINARY = {
    "prose": PROSE[:12_000],
    "one long line": " ".join(PROSE.split())[:8_000],
    "code": Path(measure.__code__.co_filename).read_text(),
    "JSON": '{"name": "it\'s", "value": 1234.5, "list": [1, 22, 333], "text": "isn\'t it?"}, ' * 80,
    "table": "- item one:   42\t€\n\n\n  * nested, isn't\r\n" * 120,
    "Russian": "Съешь же ещё этих мягких французских булок, да выпей чаю. 123 456,78 — и так далее!\n" * 60,
    "Chinese": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。" * 80,  # noqa: RUF001
    "Japanese": "すべての人間は、生れながらにして自由である。カタカナもある。\n" * 100,
    "Hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है। " * 60,
    "Arabic": "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق.\n" * 80,
    "Thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม " * 50,
    "Korean": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. " * 80,
    "emoji": "Great 👍🏽! See you 👨‍👩‍👧 there 🎉🎉 at 10:30 — ok?\n\n" * 80,
    "conversation": "<|im_start|>user\nWhat is it?<|im_end|>\n<s>[INST] Hi [/INST]</s><|endoftext|>" * 60,
}


@pytest.fixture(scope="session")
def source() -> Path:
    """The vocabularies of llama.cpp's source package, and the names of its pre-tokenizers."""
    made = subprocess.run([ROOT / "images/llama-source.sh"], check=True, capture_output=True, text=True)
    start_backend()
    return Path(made.stdout.strip())


@pytest.fixture(scope="session")
def pre_tokenizers(source: Path) -> list[str]:
    names = re.findall(r'tokenizer_pre == "([^"]+)"', (source / "llama-vocab.cpp").read_text())
    assert len(names) > 80
    return sorted({*names} - {ABORTS})


def runs(vocabulary: Path, *pre: str) -> None:
    """Have the program tokenize all runs; a crash fails with the run that it happened on."""
    ended = subprocess.run([sys.executable, PROGRAM, vocabulary, *pre], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, (ended.returncode, ended.stdout[-200:], ended.stderr[-2000:])
    assert ended.stdout.count(": done") == len(pre)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_run_ends_the_process_for_any_pre_tokenizer(source: Path, pre_tokenizers: list[str], part: int) -> None:
    runs(source / "ggml-vocab-gpt-2.gguf", *pre_tokenizers[part::PARTS])


def test_no_run_ends_the_process_for_any_vocabulary(source: Path) -> None:
    vocabularies = sorted(source.glob("ggml-vocab-*.gguf"))
    assert len(vocabularies) > 15
    for vocabulary in vocabularies:
        runs(vocabulary, "-")


def check_ordinary(vocabulary: Path, pre: str) -> None:
    model = load(str(vocabulary), pre)
    whole, parts = Tokenizer(model, segment=1 << 30), Tokenizer(model)
    for name, text in ORDINARY.items():
        assert len(text) > SEGMENT_CHARACTERS, name
        assert parts.tokenize(text) == whole.tokenize(text), (vocabulary.stem, pre, name)


@pytest.mark.parametrize("part", range(PARTS))
def test_ordinary_text_has_the_tokens_that_llama_cpp_gives_it_at_once(source, pre_tokenizers, part: int) -> None:
    for pre in pre_tokenizers[part::PARTS]:
        check_ordinary(source / "ggml-vocab-gpt-2.gguf", pre)


def test_ordinary_text_has_its_tokens_for_any_vocabulary(source: Path) -> None:
    for vocabulary in sorted(source.glob("ggml-vocab-*.gguf")):
        check_ordinary(vocabulary, "-")


def test_an_unbroken_run_keeps_its_text(source: Path) -> None:
    tokenizer = Tokenizer(load(str(source / "ggml-vocab-gpt-2.gguf"), "tekken"))
    text = "aд漢ا1_-é👨‍👩‍👧" * 1_000  # noqa: RUF001
    assert b"".join(tokenizer.piece(token) for token in tokenizer.tokenize(text)).decode() == text


def test_bounds_are_read_off_every_token_of_the_vocabulary(source: Path) -> None:
    for vocabulary in sorted(source.glob("ggml-vocab-*.gguf")):
        tokenizer = Tokenizer(load(str(vocabulary), "-"))
        written = [tokenizer._render(token, special=True) for token in range(tokenizer.size)]
        assert tokenizer.longest == max(map(len, written)), vocabulary.stem
        kinds = [api.llama_vocab_get_attr(tokenizer.pointer, token) for token in range(tokenizer.size)]
        both = api.LLAMA_TOKEN_ATTR_CONTROL | api.LLAMA_TOKEN_ATTR_USER_DEFINED
        marks = {token for token, kind in enumerate(kinds) if kind & both == api.LLAMA_TOKEN_ATTR_CONTROL}
        texts = {api.llama_vocab_get_text(tokenizer.pointer, token).decode("utf-8", "replace") for token in marks}
        assert texts <= tokenizer.special_texts, vocabulary.stem
        assert all(tokenizer.plain.text(text) != text for text in texts if len(text) > 1), vocabulary.stem


def test_what_cannot_fit_is_refused_before_it_is_tokenized(source: Path) -> None:
    tokenizer = Tokenizer(load(str(source / "ggml-vocab-gpt-2.gguf"), "gpt-2"))
    untouched = 100 * tokenizer.longest + 1
    with pytest.raises(TooLongError) as refused:
        tokenizer.tokenize("ab" * untouched, most=100)
    assert refused.value.at_least > 100
    # What passes that bound is given up at the first segment that is too much, not at the last.
    tokens: list[int] = []
    with pytest.raises(TooLongError) as late:
        tokenizer.tokenize("a b " * 3_000, most=100, wanted=lambda: not tokens.append(1))
    assert 100 < late.value.at_least < 3_000
    assert len(tokens) == 2


def test_a_model_whose_tokenizer_aborts_is_not_served(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "aborts.gguf"
    program = ("-m", "gguf.scripts.gguf_new_metadata", "--pre-tokenizer", ABORTS, "--force", tiny, path)
    subprocess.run([sys.executable, *program], check=True, capture_output=True)
    shape = ContextShape(tokens=512, batch=32, sequences=1, kv_type="f16", threads=1)
    with pytest.raises(UnusableError, match="tokenizer"):
        measure(path, shape, gpu=False)
