"""`s3://` against a real S3 server that checks signatures."""

from __future__ import annotations

from collections.abc import Iterator

import obstore
import pytest
from fetching import MIB, Fetcher, digest_of, gguf
from obstore.store import S3Store
from servers.processes import free_port
from sources.programs import CuttingProxy, program, running

from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.settings import Credentials

MODEL = gguf(12 * MIB)
KEY = "models/q8 é+1.gguf"
SOURCE = "s3://weights/models/q8%20%C3%A9+1.gguf"
REGION = "eu-test-1"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an S3 server that has the model in the bucket `weights`."""
    folder = tmp_path_factory.mktemp("s3")
    root = folder / "root"
    (root / "weights").mkdir(parents=True)
    port = free_port()
    command = [
        program("versitygw"),
        "--port",
        f"127.0.0.1:{port}",
        "--access",
        "reader",
        "--secret",
        "s3cret-key",
        "--quiet",
    ]
    with running([*command, "--region", REGION, "posix", str(root)], port, folder / "versitygw.log"):
        config = {"endpoint": f"http://127.0.0.1:{port}", "region": REGION}
        keys = {"access_key_id": "reader", "secret_access_key": "s3cret-key"}
        store = S3Store("weights", config={**config, **keys}, client_options={"allow_http": True})  # type: ignore[typeddict-item]
        obstore.put(store, KEY, MODEL)
        yield port


def credentials(port: int, **changes: str | None) -> Credentials:
    given = {"access_key_id": "reader", "secret_access_key": "s3cret-key", "region": REGION, **changes}
    return Credentials(endpoint=f"http://127.0.0.1:{port}", **given)  # type: ignore[arg-type]


async def test_an_object_is_fetched_with_signed_requests(fetcher: Fetcher, port: int) -> None:
    result = await fetcher.fetch(SOURCE, credentials(port), digest=digest_of(MODEL))
    assert fetcher.content(result) == MODEL


async def test_a_cut_is_taken_up_where_it_broke(fetcher: Fetcher, port: int) -> None:
    async with CuttingProxy(port).serving() as proxy:
        proxy.cuts = [5 * MIB, 4 * MIB]
        await fetcher.fetch(SOURCE, credentials(proxy.port), digest=digest_of(MODEL))
    assert fetcher.progress.retries == {"SourceUnreachable": 2}
    assert fetcher.progress.received < len(MODEL) + MIB


@pytest.mark.parametrize(
    "changes",
    [{"secret_access_key": "wrong"}, {"access_key_id": None, "secret_access_key": None}, {"access_key_id": None}],
    ids=["wrong secret", "no keys", "half a pair"],
)
async def test_wrong_or_missing_keys_are_refused(fetcher: Fetcher, port: int, changes: dict[str, str | None]) -> None:
    with pytest.raises(FetchError) as failure:
        await fetcher.fetch(SOURCE, credentials(port, **changes), digest=digest_of(MODEL))
    assert failure.value.reason is Reason.CREDENTIALS_REJECTED
    assert "s3cret" not in failure.value.message
    assert "Signature=" not in failure.value.message


@pytest.mark.parametrize("source", ["s3://weights/none.gguf", "s3://no-such-bucket/model.gguf"])
async def test_what_is_not_there_is_not_found(fetcher: Fetcher, port: int, source: str) -> None:
    with pytest.raises(FetchError, match="NoSuch") as failure:
        await fetcher.fetch(source, credentials(port), digest=digest_of(MODEL))
    assert failure.value.reason is Reason.SOURCE_NOT_FOUND


async def test_a_private_store_is_refused_where_private_is_not_allowed(fetcher: Fetcher, port: int) -> None:
    given = credentials(port)
    endpoint = f"https://127.0.0.1:{port}"
    with pytest.raises(FetchError) as failure:
        await fetcher.fetch(
            SOURCE,
            Credentials(
                access_key_id=given.access_key_id, secret_access_key=given.secret_access_key, endpoint=endpoint
            ),
            digest=digest_of(MODEL),
            allow_private=False,
        )
    assert failure.value.reason is Reason.PRIVATE_ADDRESS


async def test_an_object_without_a_digest_is_refused(fetcher: Fetcher, port: int) -> None:
    with pytest.raises(FetchError, match=r"set spec\.model\.digest"):
        await fetcher.fetch(SOURCE, credentials(port))
