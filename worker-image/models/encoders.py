"""A small BERT with random weights, written from nothing, and what it makes of tokens, computed with numpy alone."""

from __future__ import annotations

from math import erf
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

WIDTH, LAYERS, HEADS, INNER, CONTEXT = 64, 2, 2, 128, 512
EPSILON = 1e-12
WORDS = ["a", "slice", "of", "the", "zone", "worker", "pool", "moon", "cheese", "##s", ".", ",", "#", "cls", "sep"]
TOKENS = ["[PAD]", *(f"[unused{index}]" for index in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
"""With the numbers of BERT's own vocabulary for what frames a text: 100 to 103."""
CLS, SEP = 101, 102
Weights = dict[str, NDArray[np.float32]]


def weights(seed: int, *, ranks: bool) -> Weights:
    """Return every weight of the network; `ranks`: also those of a reranker's head."""
    dice = np.random.Generator(np.random.PCG64(seed))

    def noise(*shape: int) -> NDArray[np.float32]:
        return (dice.integers(-128, 128, shape) / 512).astype(np.float32)

    made = {
        "token_embd.weight": noise(len(TOKENS), WIDTH),
        "token_types.weight": noise(2, WIDTH),
        "position_embd.weight": noise(CONTEXT, WIDTH),
        "token_embd_norm.weight": 1 + noise(WIDTH),
        "token_embd_norm.bias": noise(WIDTH),
    }
    sizes = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH))
    sizes |= {"ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}
    for layer in range(LAYERS):
        for name, shape in sizes.items():
            made[f"blk.{layer}.{name}.weight"], made[f"blk.{layer}.{name}.bias"] = noise(*shape), noise(shape[0])
        for name in ("attn_output_norm", "layer_output_norm"):
            made[f"blk.{layer}.{name}.weight"], made[f"blk.{layer}.{name}.bias"] = 1 + noise(WIDTH), noise(WIDTH)
    if ranks:
        made |= {"cls.weight": noise(WIDTH, WIDTH), "cls.bias": noise(WIDTH)}
        made |= {"cls.output.weight": noise(1, WIDTH) * 8, "cls.output.bias": noise(1)}
    return made


def write_bert(to: Path, pooling: int | None, seed: int = 1) -> Path:
    """Write the model; `pooling` as in llama.h (4 makes it a reranker), None says nothing of it."""
    writer = gguf.GGUFWriter(to, "bert")
    writer.add_name("bert")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(EPSILON)
    writer.add_causal_attention(False)
    if pooling is not None:
        writer.add_pooling_type(gguf.PoolingType(pooling))
    writer.add_token_type_count(2)
    writer.add_tokenizer_model("bert")
    # As llama.cpp's converter writes it: a word begins with a mark, what continues one has none.
    writer.add_token_list(
        [text if text.startswith("[") else text[2:] if text.startswith("##") else f"\u2581{text}" for text in TOKENS]
    )
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control if text.startswith("[") else normal for text in TOKENS])
    writer.add_bos_token_id(CLS)
    writer.add_sep_token_id(SEP)
    writer.add_unk_token_id(100)
    writer.add_pad_token_id(0)
    writer.add_mask_token_id(103)
    for name, tensor in weights(seed, ranks=pooling == 4).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return to


def tokens_of(text: str) -> list[int]:
    """Return the frame around words of the vocabulary."""
    return [CLS, *(TOKENS.index(word) for word in text.split()), SEP]


def _norm(rows: NDArray[np.float64], made: Weights, name: str) -> NDArray[np.float64]:
    centred = rows - rows.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + EPSILON)
    return scaled * made[f"{name}.weight"] + made[f"{name}.bias"]


def _gelu(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows * np.vectorize(lambda value: (1 + erf(value / 2**0.5)) / 2)(rows)


def states(tokens: list[int], made: Weights) -> NDArray[np.float64]:
    """Return the last layer's vector of each token."""

    def through(rows: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        return rows @ made[f"{name}.weight"].T.astype(np.float64) + made[f"{name}.bias"]

    rows = made["token_embd.weight"][tokens].astype(np.float64) + made["token_types.weight"][0]
    rows = _norm(rows + made["position_embd.weight"][: len(tokens)], made, "token_embd_norm")
    for layer in range(LAYERS):
        name, size = f"blk.{layer}", WIDTH // HEADS
        heads = []
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            query, key, value = (through(rows, f"{name}.attn_{what}")[:, part] for what in "qkv")
            weight = np.exp(query @ key.T / size**0.5)
            heads.append(weight / weight.sum(axis=1, keepdims=True) @ value)
        rows = _norm(rows + through(np.hstack(heads), f"{name}.attn_output"), made, f"{name}.attn_output_norm")
        inner = _gelu(through(rows, f"{name}.ffn_up"))
        rows = _norm(rows + through(inner, f"{name}.ffn_down"), made, f"{name}.layer_output_norm")
    return rows


def expected(tokens: list[int], pooling: int, seed: int = 1) -> NDArray[np.float64]:
    """Return the vector of length one for `tokens`: the mean (1), the first token's (2) or the last one's (3)."""
    rows = states(tokens, weights(seed, ranks=False))
    vector = {1: rows.mean(axis=0), 2: rows[0], 3: rows[-1]}[pooling]
    length: NDArray[np.float64] = vector / np.linalg.norm(vector)
    return length


def expected_score(tokens: list[int], seed: int = 1) -> float:
    """Return the reranker's mark for the tokens of a pair, 0 to 1."""
    made = weights(seed, ranks=True)
    first = states(tokens, made)[0]
    inner = np.tanh(made["cls.weight"].astype(np.float64) @ first + made["cls.bias"])
    mark = float((made["cls.output.weight"] @ inner + made["cls.output.bias"])[0])
    return float(1 / (1 + np.exp(-mark)))
