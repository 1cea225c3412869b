"""The chunks of a stream are those that h11 would write, though it does not write them."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicewise_worker.http.trailer import _Connection


def written(
    kind: type[h11.Connection], version: str, headers: list[tuple[str, str]], parts: list[bytes]
) -> list[bytes]:
    """Return what a server of that kind sends: its headers, each part, and the end."""
    connection = kind(h11.SERVER)
    connection.receive_data(f"GET / HTTP/{version}\r\nHost: x\r\n\r\n".encode())
    connection.next_event()
    sent = [connection.send(h11.Response(status_code=200, headers=headers))]
    sent += [connection.send(h11.Data(data=part)) for part in parts]
    return [piece or b"" for piece in [*sent, connection.send(h11.EndOfMessage())]]


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_chunks_are_as_h11_writes_them(version: str, parts: list[bytes]) -> None:
    assert written(_Connection, version, [], parts) == written(h11.Connection, version, [], parts)


def test_an_answer_of_known_length_has_no_chunks_and_no_more_than_it_says() -> None:
    headers = [("Content-Length", "3")]
    assert written(_Connection, "1.1", headers, [b"abc"])[1] == b"abc"
    with pytest.raises(h11.LocalProtocolError):
        written(_Connection, "1.1", headers, [b"abcd"])
