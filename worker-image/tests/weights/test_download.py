"""What the line and the server can do to a download, and what the user then has: the right file, or a clear word."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from fetching import KIB, MIB, Fetcher, digest_of, gguf, until
from sources.web import Fault, WebServer

from slicewise_worker.read_back import HOLDS_SECONDS, still_holds
from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.settings import Credentials
from slicewise_worker.weights.transport import public_trust


def left(fetcher: Fetcher) -> list[str]:
    """The files below the digests' folders."""
    return sorted(path.name for path in fetcher.cache.glob("*/*"))


async def test_the_file_lands_under_its_digest(fetcher: Fetcher, web: WebServer) -> None:
    result = await fetcher.fetch(web.url, digest=web.digest)
    path = fetcher.entry(web.digest) / "model.gguf"
    assert (result.path, result.digest, result.bytes) == (str(path), web.digest, len(web.content))
    assert path.read_bytes() == web.content
    assert left(fetcher) == ["meta.json", "model.gguf"]


async def test_a_second_fetch_asks_the_source_for_nothing(fetcher: Fetcher, web: WebServer) -> None:
    await fetcher.fetch(web.url, digest=web.digest)
    await fetcher.fetch(web.url, digest=web.digest)
    assert len(web.requests) == 1


async def test_a_bit_that_turned_in_the_cache_is_found_and_the_file_fetched_again(
    fetcher: Fetcher, web: WebServer
) -> None:
    result = await fetcher.fetch(web.url, digest=web.digest)
    path = fetcher.entry(web.digest) / "model.gguf"
    content = bytearray(path.read_bytes())
    content[300_000] ^= 1
    path.write_bytes(content)
    assert await fetcher.fetch(web.url, digest=web.digest) == result
    assert result.read_back is None
    assert path.read_bytes() == web.content


async def test_a_file_that_was_read_back_from_the_cache_says_so_and_one_that_was_written_does_not(
    fetcher: Fetcher, web: WebServer
) -> None:
    written = await fetcher.fetch(web.url, digest=web.digest)
    assert written.read_back is None
    again = await fetcher.fetch(web.url, digest=web.digest)
    path = Path(again.path)
    assert still_holds(again.read_back, path)
    assert again.read_back is not None
    assert not still_holds(replace(again.read_back, boot="another"), path)
    assert not still_holds(replace(again.read_back, seconds=again.read_back.seconds - HOLDS_SECONDS), path)
    assert not still_holds(replace(again.read_back, changed_ns=again.read_back.changed_ns - 1), path)
    await fetcher.fetch(web.url, digest=web.digest)
    assert still_holds(again.read_back, path), "a further fetch that finds it does not change it"


async def test_cut_connections_are_taken_up_where_they_broke(fetcher: Fetcher) -> None:
    async with WebServer(gguf(12 * MIB)).serving() as server:
        server.faults = [Fault(cut_at=5 * MIB), Fault(cut_at=9 * MIB), Fault(cut_at=9 * MIB + 1)]
        await fetcher.fetch(server.url, digest=server.digest)
        assert server.starts() == sorted(server.starts())
        assert server.starts()[1] >= 2 * MIB
        assert all("if-range" in request.headers for request in server.requests if "range" in request.headers)
        assert (fetcher.entry(server.digest) / "model.gguf").read_bytes() == server.content


async def test_a_server_that_ignores_ranges_is_read_from_the_start(fetcher: Fetcher, web: WebServer) -> None:
    web.faults = [Fault(cut_at=300 * KIB), Fault(ignore_range=True)]
    await fetcher.fetch(web.url, digest=web.digest)
    assert (fetcher.entry(web.digest) / "model.gguf").read_bytes() == web.content


async def test_a_file_that_changes_between_two_tries_is_not_mixed(fetcher: Fetcher) -> None:
    old, new = gguf(400 * KIB, seed=1), gguf(400 * KIB, seed=2)
    async with WebServer(old).serving() as server:
        gate = asyncio.Event()
        server.faults = [Fault(cut_at=200 * KIB, stop_at=150 * KIB, gate=gate)]
        fetching = asyncio.create_task(fetcher.fetch(server.url, digest=digest_of(new)))
        await until(lambda: server.body_bytes, "the first try began")
        server.content, server.etag = new, '"new"'
        gate.set()
        result = await fetching
        assert (fetcher.entry(result.digest) / "model.gguf").read_bytes() == new


async def test_a_range_that_starts_elsewhere_is_not_believed(fetcher: Fetcher, web: WebServer) -> None:
    web.faults = [Fault(cut_at=300 * KIB), Fault(wrong_start=5)]
    await fetcher.fetch(web.url, digest=web.digest)
    assert (fetcher.entry(web.digest) / "model.gguf").read_bytes() == web.content


async def test_a_file_that_became_shorter_is_read_anew(fetcher: Fetcher) -> None:
    long, short = gguf(400 * KIB), gguf(100 * KIB)
    async with WebServer(long, etag=None).serving() as server:
        gate = asyncio.Event()
        server.faults = [Fault(cut_at=200 * KIB, stop_at=150 * KIB, gate=gate)]
        fetching = asyncio.create_task(fetcher.fetch(server.url, digest=digest_of(short)))
        await until(lambda: server.body_bytes, "the first try began")
        server.content = short
        gate.set()
        await fetching
        assert (fetcher.entry(digest_of(short)) / "model.gguf").read_bytes() == short


async def test_one_flipped_bit_costs_a_second_download_and_is_not_accepted(fetcher: Fetcher, web: WebServer) -> None:
    web.faults = [Fault(flip_at=500_000)]
    await fetcher.fetch(web.url, digest=web.digest)
    assert fetcher.progress.retries == {"DigestMismatch": 1}
    assert web.starts() == [0, 0]
    assert (fetcher.entry(web.digest) / "model.gguf").read_bytes() == web.content


async def test_bits_that_flip_each_time_end_in_digest_mismatch(fetcher: Fetcher, web: WebServer) -> None:
    web.faults = [Fault(flip_at=position) for position in (2, 1_000, 500_000)]
    with pytest.raises(FetchError, match="tried 3 times") as failure:
        await fetcher.fetch(web.url, digest=web.digest)
    assert failure.value.reason is Reason.DIGEST_MISMATCH
    assert left(fetcher) == []


async def test_another_file_than_wanted_is_fetched_twice_at_most(fetcher: Fetcher, web: WebServer) -> None:
    wanted = digest_of(b"something else")
    with pytest.raises(FetchError, match="the source holds another file") as failure:
        await fetcher.fetch(web.url, digest=wanted)
    assert failure.value.reason is Reason.DIGEST_MISMATCH
    assert web.digest in failure.value.message
    assert wanted in failure.value.message
    assert len(web.requests) == 2
    assert left(fetcher) == []


async def test_a_page_instead_of_a_model_is_not_fetched_to_its_end(fetcher: Fetcher) -> None:
    async with WebServer(b"<!DOCTYPE html>" + bytes(8 * MIB)).serving() as server:
        server.faults = [Fault(stop_at=4 * MIB, gate=asyncio.Event()) for _ in range(2)]
        with pytest.raises(FetchError, match="not a GGUF file"):
            await fetcher.fetch(server.url, digest=server.digest)
        assert left(fetcher) == []


async def test_busy_answers_are_waited_for(fetcher: Fetcher, web: WebServer) -> None:
    web.faults = [Fault(status=503, headers={"Retry-After": "1"}), Fault(status=429), Fault(status=500)]
    await fetcher.fetch(web.url, digest=web.digest)
    assert fetcher.progress.retries == {"SourceUnreachable": 3}


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (404, Reason.SOURCE_NOT_FOUND, "check the source's spelling"),
        (410, Reason.SOURCE_NOT_FOUND, "check the source's spelling"),
        (401, Reason.CREDENTIALS_REJECTED, "credentialsSecretRef"),
        (403, Reason.CREDENTIALS_REJECTED, "credentialsSecretRef"),
        (400, Reason.SOURCE_UNREACHABLE, "answered 400"),
    ],
)
async def test_answers_that_will_not_change_end_the_fetch_at_once(
    fetcher: Fetcher, web: WebServer, status: int, reason: Reason, words: str
) -> None:
    web.faults = [Fault(status=status)]
    with pytest.raises(FetchError, match=words) as failure:
        await fetcher.fetch(web.url, digest=web.digest)
    assert failure.value.reason is reason
    assert len(web.requests) == 1


async def test_a_source_that_never_answers_ends_when_patience_does(fetcher: Fetcher, web: WebServer) -> None:
    web.faults = [Fault(status=503) for _ in range(200)]
    with pytest.raises(FetchError, match=r"given up .* answered 503") as failure:
        await fetcher.fetch(web.url, digest=web.digest, patience_seconds=0.3)
    assert failure.value.reason is Reason.SOURCE_UNREACHABLE


async def test_what_arrived_is_kept_when_patience_ends(fetcher: Fetcher) -> None:
    async with WebServer(gguf(8 * MIB)).serving() as server:
        server.faults = [Fault(cut_at=5 * MIB), *(Fault(status=503) for _ in range(200))]
        with pytest.raises(FetchError, match="given up"):
            await fetcher.fetch(server.url, digest=server.digest, patience_seconds=0.3)
        server.faults = []
        await fetcher.fetch(server.url, digest=server.digest)
        assert server.starts()[-1] >= 2 * MIB


async def test_a_connection_that_stalls_is_given_up_and_taken_up_again(fetcher: Fetcher, web: WebServer) -> None:
    # Until it was taken up behind its beginning each one stalls: on a busy machine one may end before its first byte.
    gate = asyncio.Event()
    web.faults = [Fault(stop_at=200 * KIB, gate=gate) for _ in range(1000)]
    fetching = asyncio.create_task(fetcher.fetch(web.url, digest=web.digest, stall_seconds=0.3))
    await until(lambda: any(web.starts()), "it is not taken up where it was")
    web.faults = []
    gate.set()
    await fetching


async def test_a_slow_drip_arrives(fetcher: Fetcher, web: WebServer) -> None:
    web.faults = [Fault(pause=0.02)]
    await fetcher.fetch(web.url, digest=web.digest)
    assert fetcher.progress.retries == {}


@pytest.mark.parametrize("claimed", [100 * KIB, 900 * KIB])
async def test_a_wrong_length_is_not_the_last_word(fetcher: Fetcher, web: WebServer, claimed: int) -> None:
    web.faults = [Fault(claimed_length=claimed)]
    await fetcher.fetch(web.url, digest=web.digest)
    assert (fetcher.entry(web.digest) / "model.gguf").read_bytes() == web.content


async def test_a_source_that_sends_more_than_it_announced_is_stopped_there(fetcher: Fetcher) -> None:
    async with WebServer(gguf(8 * MIB)).serving() as server:
        # Held open behind the announced bytes: the fetch must not need the end of the answer.
        server.faults = [Fault(claimed_total=MIB, stop_at=MIB + 64 * KIB, gate=asyncio.Event()) for _ in range(2)]
        with pytest.raises(FetchError, match=f"more bytes came than the {MIB} announced") as failure:
            await fetcher.fetch(server.url, digest=server.digest)
        assert failure.value.reason is Reason.DIGEST_MISMATCH
        assert len(server.requests) == 2
        assert left(fetcher) == []


async def test_one_answer_that_is_too_long_costs_a_second_download(fetcher: Fetcher, web: WebServer) -> None:
    web.faults = [Fault(claimed_total=100 * KIB)]
    await fetcher.fetch(web.url, digest=web.digest)
    assert fetcher.progress.retries == {"DigestMismatch": 1}
    assert (fetcher.entry(web.digest) / "model.gguf").read_bytes() == web.content


async def test_a_server_without_lengths_works(fetcher: Fetcher, web: WebServer) -> None:
    web.faults = [Fault(no_length=True)]
    result = await fetcher.fetch(web.url, digest=web.digest)
    assert result.bytes == len(web.content)


async def test_a_cut_that_looks_like_an_end_is_found_by_the_digest(fetcher: Fetcher, web: WebServer) -> None:
    web.faults = [Fault(no_length=True, end_at=200 * KIB)]
    await fetcher.fetch(web.url, digest=web.digest)
    assert fetcher.progress.retries == {"DigestMismatch": 1}
    assert (fetcher.entry(web.digest) / "model.gguf").read_bytes() == web.content


async def test_https_with_the_secrets_own_authority(
    fetcher: Fetcher, authority: trustme.CA, tls: ssl.SSLContext
) -> None:
    certificate = fetcher.folder / "ca.crt"
    authority.cert_pem.write_to_path(certificate)
    async with WebServer(gguf(100 * KIB)).serving(tls) as server:
        result = await fetcher.fetch(server.url, Credentials(ca_file=certificate, token="t0ken"), digest=server.digest)
        assert result.bytes == 100 * KIB
        assert server.requests[0].headers["authorization"] == "Bearer t0ken"


async def test_a_certificate_that_nobody_vouches_for_is_refused(fetcher: Fetcher, tls: ssl.SSLContext) -> None:
    async with WebServer(gguf(100 * KIB)).serving(tls) as server:
        with pytest.raises(FetchError, match=r"certificate not trusted.*ca\.crt"):
            await fetcher.fetch(server.url, digest=server.digest, patience_seconds=0)
        assert server.requests == []


async def test_the_environment_adds_no_authority_and_takes_no_keys(
    fetcher: Fetcher, authority: trustme.CA, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, keys = fetcher.folder / "ca.crt", fetcher.folder / "keys.log"
    authority.cert_pem.write_to_path(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    async with WebServer(gguf(100 * KIB)).serving(tls) as server:
        with pytest.raises(FetchError, match=r"certificate not trusted.*ca\.crt"):
            await fetcher.fetch(server.url, digest=server.digest, patience_seconds=0)
        assert server.requests == []
        await fetcher.fetch(server.url, Credentials(ca_file=certificate), digest=server.digest)
    assert not keys.exists()


def test_the_public_authorities_are_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    ours, systems = public_trust(), ssl.create_default_context()
    assert ours.get_ca_certs(binary_form=True) == systems.get_ca_certs(binary_form=True)
    assert (ours.verify_mode, ours.check_hostname) == (ssl.CERT_REQUIRED, True)
