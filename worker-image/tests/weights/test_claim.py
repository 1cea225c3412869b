"""Weights that are on a claim already are verified and used where they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from fetching import KIB, Fetcher, digest_of, gguf

from slicewise_worker.read_back import still_holds
from slicewise_worker.weights.errors import FetchError, Reason

MODEL = gguf(300 * KIB)


@pytest.fixture
def claim(fetcher: Fetcher) -> Path:
    """The mounted claim, with one model in a folder."""
    mounted = fetcher.folder / "source"
    (mounted / "chat").mkdir(parents=True)
    (mounted / "chat" / "m.gguf").write_bytes(MODEL)
    return mounted


async def test_the_result_points_into_the_claim_and_nothing_is_copied(fetcher: Fetcher, claim: Path) -> None:
    result = await fetcher.fetch("pvc://models/chat/m.gguf", digest=digest_of(MODEL))
    assert result.path == str(claim / "chat" / "m.gguf")
    assert still_holds(result.read_back, claim / "chat" / "m.gguf")
    assert not fetcher.cache.exists()
    assert fetcher.progress.bytes_done == len(MODEL)


async def test_another_digest_is_refused_with_both(fetcher: Fetcher, claim: Path) -> None:
    wanted = digest_of(b"other")
    with pytest.raises(FetchError, match=f"has {digest_of(MODEL)}, spec.model.digest says {wanted}") as failure:
        await fetcher.fetch("pvc://models/chat/m.gguf", digest=wanted)
    assert failure.value.reason is Reason.DIGEST_MISMATCH


async def test_a_claim_without_a_digest_is_refused(fetcher: Fetcher, claim: Path) -> None:
    with pytest.raises(FetchError, match=r"set spec\.model\.digest"):
        await fetcher.fetch("pvc://models/chat/m.gguf")


@pytest.mark.parametrize("path", ["nothing.gguf", "chat", "chat/m.gguf/x"])
async def test_a_path_without_a_file_is_not_found(fetcher: Fetcher, claim: Path, path: str) -> None:
    with pytest.raises(FetchError, match="no such file on the claim") as failure:
        await fetcher.fetch(f"pvc://models/{path}", digest=digest_of(MODEL))
    assert failure.value.reason is Reason.SOURCE_NOT_FOUND


@pytest.mark.parametrize(
    "path",
    [
        "../secret.gguf",
        "chat/../../secret.gguf",
        "%2E%2E/secret.gguf",
        "chat/%2E%2E%2F%2E%2E%2Fsecret.gguf",
        "link.gguf",
        "/etc/hostname",
    ],
)
async def test_no_path_leads_out_of_the_claim(fetcher: Fetcher, claim: Path, path: str) -> None:
    (fetcher.folder / "secret.gguf").write_bytes(MODEL)
    (claim / "link.gguf").symlink_to(fetcher.folder / "secret.gguf")
    with pytest.raises(FetchError, match="leads out of the claim") as failure:
        await fetcher.fetch(f"pvc://models/{path}", digest=digest_of(MODEL))
    assert failure.value.reason is Reason.UNSUPPORTED


async def test_what_is_no_model_is_refused_before_it_is_hashed(fetcher: Fetcher, claim: Path) -> None:
    (claim / "page.gguf").write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(FetchError, match="not a GGUF file"):
        await fetcher.fetch("pvc://models/page.gguf", digest=digest_of(b"<!DOCTYPE html>"))


async def test_a_name_with_blanks_is_written_encoded(fetcher: Fetcher, claim: Path) -> None:
    (claim / "My Model (1) 100%.gguf").write_bytes(MODEL)
    result = await fetcher.fetch("pvc://models/My%20Model%20(1)%20100%25.gguf", digest=digest_of(MODEL))
    assert result.path == str(claim / "My Model (1) 100%.gguf")
