"""The rules of split models, as `pool_cases.py` has those of other fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from builders import DIGEST
from pool_cases import HUB, Case, _value, with_fallback

_PARTS = "s3://models/q8-00001-of-00012.gguf"


def _digests(rule: str, good: list[str], bad: Mapping[str, Any], found: int) -> Case:
    return Case(
        f"digests {rule}",
        {"model": {"source": _PARTS, "digests": good}},
        {"model": {"source": _PARTS, **bad}},
        "spec.model.digests",
        f"'{_PARTS}' is the first part of a split model: write digests, one sha256:… for each part in their order, and no digest; "
        f"{found} found",
    )


SPLIT_CASES = with_fallback(
    (
        *(
            _value(
                "model.source",
                HUB.replace("q8", f"q8-{good}"),
                HUB.replace("q8", f"q8-{bad}"),
                f"'{HUB.replace('q8', f'q8-{bad}')}' is not the first of at most 64 parts of a split model: name the first one, as in "
                "model-00001-of-00003.gguf",
                rule=f"split {bad}",
            )
            for good, bad in (
                ("00001-of-00001", "00002-of-00002"),
                ("00001-of-00002", "00000-of-00002"),
                ("00001-of-00064", "00001-of-00065"),
                ("0001-of-00065", "00001-of-10000"),
            )
        ),
        _digests("too many", [DIGEST] * 12, {"digests": [DIGEST] * 13}, 13),
        _digests("too few", [DIGEST] * 12, {"digests": [DIGEST] * 2}, 2),
        _digests("none", [DIGEST] * 12, {}, 0),
        _digests("one", [DIGEST] * 12, {"digest": DIGEST}, 0),
        _digests("both", [DIGEST] * 12, {"digest": DIGEST, "digests": [DIGEST] * 12}, 12),
        Case(
            "digests of a whole file",
            {"model": {"source": "s3://models/b.gguf", "digest": DIGEST}},
            {"model": {"source": "s3://models/b.gguf", "digests": [DIGEST] * 2}},
            "spec.model.digests",
            "digests are of the parts of a split model, and 's3://models/b.gguf' does not name one: write digest, or name the first "
            "part, as in model-00001-of-00003.gguf",
        ),
        Case(
            "form of one of the digests",
            {"model": {"source": _PARTS, "digests": [DIGEST] * 12}},
            {"model": {"source": _PARTS, "digests": [*[DIGEST] * 11, "md5:1"]}},
            "spec.model.digests[11]",
            "'md5:1' is not a digest: write sha256: and the 64 small hexadecimal digits that sha256sum prints",
        ),
    )
)
