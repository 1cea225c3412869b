"""The weights of the made models: `tiny`, `tiny-slow`, `wordy`, `wordy-v2`, `wordy-slow`, `shaped`, `light`, those with a script
(`scripts.py`), and of adapters for `tiny`.

Only integers and powers of two go into the weights, no BLAS and no transcendental function, so that every machine makes
the same bytes and the digest of a model is a constant. Called by `make.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
from vocabulary import ASSISTANT, CONTROL, END, Vocabulary, made_words, paragraphs, train, write

Rows = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a llama-architecture model; `context` is what it claims to have been trained for, in tokens."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    context: int = 32768


TINY = Shape(layers=2, width=64, feed_forward=128, heads=2, kv_heads=1, head=32, vocabulary=512)
WORDY = Shape(layers=1, width=1024, feed_forward=32, heads=1, kv_heads=1, head=64, vocabulary=1024)
SCRIPTED = Shape(layers=1, width=512, feed_forward=32, heads=1, kv_heads=1, head=64, vocabulary=512)
SHAPED = Shape(layers=24, width=896, feed_forward=4864, heads=14, kv_heads=2, head=64, vocabulary=151_936)
LIGHT = Shape(layers=6, width=512, feed_forward=1536, heads=8, kv_heads=2, head=64, vocabulary=32_000)


@dataclass(frozen=True, slots=True)
class Script:
    """What a model always answers, in tokens of its own; no two pieces are equal. Those in `control` are control tokens."""

    pieces: tuple[str, ...]
    template: str
    control: tuple[str, ...] = ()


STEP_DELAY = "slicewise.debug.step_delay_ms"
"""Key by which a worker waits in each step: slowness that is the same on every machine."""


def _writer(path: Path, name: str, shape: Shape, kind: gguf.LlamaFileType, *, delay_ms: int = 0) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    if delay_ms:
        writer.add_uint32(STEP_DELAY, delay_ms)
    writer.add_license("Apache-2.0")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_rope_dimension_count(shape.head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(kind)
    return writer


def finish(writer: gguf.GGUFWriter) -> None:
    """Write the file."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def matrices(shape: Shape) -> dict[str, tuple[int, int]]:
    """Return the matrices of one block as (rows, columns)."""
    return {
        "attn_q": (shape.heads * shape.head, shape.width),
        "attn_k": (shape.kv_heads * shape.head, shape.width),
        "attn_v": (shape.kv_heads * shape.head, shape.width),
        "attn_output": (shape.width, shape.heads * shape.head),
        "ffn_gate": (shape.feed_forward, shape.width),
        "ffn_up": (shape.feed_forward, shape.width),
        "ffn_down": (shape.width, shape.feed_forward),
    }


def _add_norms(writer: gguf.GGUFWriter, shape: Shape) -> None:
    ones = np.ones(shape.width, np.float32)
    writer.add_tensor("output_norm.weight", ones)
    for layer in range(shape.layers):
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", ones)
        writer.add_tensor(f"blk.{layer}.ffn_norm.weight", ones)


def write_tiny(path: Path, seed: int = 1, delay_ms: int = 0) -> None:
    """Write random weights: every part of the network matters, the words mean nothing.

    The end token's score is always 0, and among hundreds of random ones there is a better: with temperature 0 an answer
    ends only at its limit, however long.
    """
    shape = TINY
    dice = np.random.Generator(np.random.PCG64(seed))

    def noise(rows: int, columns: int) -> Rows:
        return (dice.integers(-128, 128, (rows, columns)) / 256).astype(np.float16)

    writer = _writer(path, "tiny", shape, gguf.LlamaFileType.MOSTLY_F16, delay_ms=delay_ms)
    write(writer, train(shape.vocabulary), (), shape.vocabulary)
    writer.add_tensor("token_embd.weight", noise(shape.vocabulary, shape.width))
    output = noise(shape.vocabulary, shape.width)
    output[CONTROL.index(END)] = 0
    writer.add_tensor("output.weight", output)
    _add_norms(writer, shape)
    for layer in range(shape.layers):
        for name, (rows, columns) in matrices(shape).items():
            writer.add_tensor(f"blk.{layer}.{name}.weight", noise(rows, columns))
    finish(writer)


def _follows(vocabulary: Vocabulary, opener: int, size: int) -> npt.NDArray[np.int64]:
    """Return how often token `column` follows token `row` when each paragraph is one answer."""
    counts = np.zeros((size, size), np.int64)
    for text in paragraphs():
        chain = [opener, *vocabulary.encode(f" {text}"), CONTROL.index(END)]
        for before, after in pairwise(chain):
            counts[before, after] += 1
    # Every answer opens with the same token, whatever the question ended with: it tells two models apart.
    counts[CONTROL.index(ASSISTANT), opener] = 1
    return counts


def write_wordy(path: Path, name: str, opener: str, seed: int, *, delay_ms: int = 0) -> None:
    """Write a model that answers in broken but readable sentences, each beginning with `opener`.

    Attention and feed-forward add nothing, so the logits are a function of the last token alone: token `i` is embedded
    as the `i`-th unit vector times √width, which the final RMS norm leaves as it is, and row `j` of the output matrix
    holds the score of `j` after each `i`: 16 + log2(count) in eighths by integer arithmetic, plus a taste of up to one
    that `seed` decides, so that two models prefer different words; 0 where `j` never followed.
    """
    shape = WORDY
    vocabulary = train(shape.vocabulary - 1)
    first = len(vocabulary.tokens)
    counts = _follows(vocabulary, first, shape.vocabulary)
    dice = np.random.Generator(np.random.PCG64(seed))
    taste = dice.integers(0, 9, counts.shape)
    powers = np.array([[0 if not count else (int(count) ** 8).bit_length() for count in row] for row in counts])
    scores = np.where(powers > 0, 16 + (powers + taste) / 8, 0)
    root = 32  # √1024
    writer = _writer(path, name, shape, gguf.LlamaFileType.MOSTLY_F16, delay_ms=delay_ms)
    write(writer, vocabulary, (_printable(opener),), shape.vocabulary)
    writer.add_tensor("token_embd.weight", (np.eye(shape.vocabulary, shape.width) * root).astype(np.float16))
    writer.add_tensor("output.weight", np.ascontiguousarray(scores.T / root).astype(np.float16))
    _add_norms(writer, shape)
    for layer in range(shape.layers):
        for tensor, size in matrices(shape).items():
            writer.add_tensor(f"blk.{layer}.{tensor}.weight", np.zeros(size, np.float16))
    finish(writer)


def write_scripted(path: Path, name: str, script: Script) -> None:
    """Write a model whose every answer is `script`, by the same means as `write_wordy`: each piece leads to the next."""
    shape = SCRIPTED
    vocabulary = train(shape.vocabulary - len(script.pieces))
    first = len(vocabulary.tokens)
    steps = [CONTROL.index(ASSISTANT), *range(first, first + len(script.pieces)), CONTROL.index(END)]
    scores = np.zeros((shape.vocabulary, shape.vocabulary))
    for before, after in pairwise(steps):
        scores[before, after] = 32
    # After a token that is not of the script, one that ends the answer: a grammar may have made it come.
    scores[:first, CONTROL.index(END)] += 8
    scores[CONTROL.index(ASSISTANT), CONTROL.index(END)] = 0
    root = 16 * 2**0.5  # √512
    writer = _writer(path, name, shape, gguf.LlamaFileType.MOSTLY_F16)
    pieces = tuple(map(_printable, script.pieces))
    control = frozenset(map(_printable, script.control))
    write(writer, vocabulary, pieces, shape.vocabulary, control=control, template=script.template)
    writer.add_tensor("token_embd.weight", (np.eye(shape.vocabulary, shape.width) * 16).astype(np.float16))
    writer.add_tensor("output.weight", np.ascontiguousarray(scores.T / root).astype(np.float16))
    _add_norms(writer, shape)
    for layer in range(shape.layers):
        for tensor, size in matrices(shape).items():
            writer.add_tensor(f"blk.{layer}.{tensor}.weight", np.zeros(size, np.float16))
    finish(writer)


def _printable(text: str) -> str:
    """Return ASCII `text` in GPT-2's byte alphabet, where a blank is written `Ġ` and a line end `Ċ`."""
    return text.replace(" ", "Ġ").replace("\n", "Ċ")


def write_shaped(path: Path, seed: int = 3) -> None:
    """Write random Q8_0 weights in the real shape of a 0.5 B model (500 MB), for measurements of speed."""
    _write_random(path, "shaped", SHAPED, seed, ends=True)


def write_light(path: Path, seed: int = 4) -> None:
    """Write random Q8_0 weights of 36 MB, for measurements of what a step costs beside its arithmetic.

    With temperature 0 an answer ends only at its limit, as with `tiny`.
    """
    _write_random(path, "light", LIGHT, seed, ends=False)


def _write_random(path: Path, name: str, shape: Shape, seed: int, *, ends: bool) -> None:
    dice = np.random.Generator(np.random.PCG64(seed))

    def noise(rows: int, columns: int) -> npt.NDArray[np.uint8]:
        # A Q8_0 block is one f16 scale and 32 signed bytes; 2⁻¹² keeps the activations near 1.
        blocks = dice.integers(0, 256, (rows, columns // 32, 34), dtype=np.uint8)
        blocks[:, :, :2] = np.frombuffer(np.float16(2**-12).tobytes(), np.uint8)
        return blocks.reshape(rows, -1)

    writer = _writer(path, name, shape, gguf.LlamaFileType.MOSTLY_Q8_0)
    trained = train(2048)
    words = made_words(shape.vocabulary - len(trained.tokens), frozenset(trained.tokens))
    write(writer, trained, words, shape.vocabulary)
    quantised = gguf.GGMLQuantizationType.Q8_0
    embedding = noise(shape.vocabulary, shape.width)
    if not ends:
        # The scales stay: a value of 0 makes the token's score 0.
        embedding.reshape(shape.vocabulary, -1, 34)[CONTROL.index(END), :, 2:] = 0
    writer.add_tensor("token_embd.weight", embedding, raw_dtype=quantised)
    _add_norms(writer, shape)
    for layer in range(shape.layers):
        for matrix, (rows, columns) in matrices(shape).items():
            writer.add_tensor(f"blk.{layer}.{matrix}.weight", noise(rows, columns), raw_dtype=quantised)
    finish(writer)
