"""Variables become settings, or one sentence that names each that cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from slicewise_gateway.environment import SettingsError, read_settings
from slicewise_gateway.settings import EdgeSettings, GatewaySettings

NEEDED = {
    "SLICEWISE_GATEWAY_POOL": "chat",
    "SLICEWISE_GATEWAY_NAMESPACE": "demo",
    "SLICEWISE_GATEWAY_CONFIG_MAP": "chat-gateway",
    "SLICEWISE_GATEWAY_ENDPOINTS_SELECTOR": "slicewise.dev/pool=chat",
}


def test_variables_have_the_types_of_their_settings_and_an_empty_one_is_absent() -> None:
    more = {
        "SLICEWISE_GATEWAY_KEYS": "/etc/keys",
        "SLICEWISE_GATEWAY_MOUNTED": "",
        "SLICEWISE_GATEWAY_DRAIN_SECONDS": "2.5",
        "SLICEWISE_GATEWAY_PORT": "0",
        "SLICEWISE_GATEWAY_API_PORT": "1",
        "KUBERNETES_SERVICE_HOST": "fd00::1",
        "KUBERNETES_SERVICE_PORT": "6443",
    }
    found = read_settings(GatewaySettings, NEEDED | more)
    assert (found.pool, found.keys, found.mounted) == ("chat", Path("/etc/keys"), Path("/etc/slicewise/gateway"))
    assert (found.drain_seconds, found.port, found.server) == (2.5, 0, "https://[fd00::1]:6443")


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("pool", "", "Field required"),
        ("hold_port", "0", "Input should be greater than or equal to 1"),
        ("hold_port", "65536", "Input should be less than or equal to 65535"),
        ("hold_port", "8081/tcp", "Input should be a valid integer, unable to parse string as an integer"),
        ("hold_port", "٨٠٨١", "Input should be a valid integer, unable to parse string as an integer"),
        ("max_body_bytes", "9" * 5000, "Input should be a valid integer, unable to parse string as an integer"),
        ("hold_seconds", "soon", "Input should be a valid number, unable to parse string as a number"),
        ("hold_seconds", "-1", "Input should be greater than or equal to 0"),
        ("hold_seconds", "nan", "Input should be a finite number"),
        ("hold_seconds", "inf", "Input should be a finite number"),
        ("redis_timeout_seconds", "0", "Input should be greater than 0"),
        ("log_format", "xml", "Input should be 'json' or 'text'"),
        ("log_level", "INFO", "Input should be 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named_with_the_reason(name: str, text: str, sentence: str) -> None:
    given = {"SLICEWISE_GATEWAY_POOL": "chat", "SLICEWISE_GATEWAY_NAMESPACE": "demo"}
    with pytest.raises(SettingsError) as raised:
        read_settings(EdgeSettings, given | {f"SLICEWISE_GATEWAY_{name.upper()}": text})
    assert str(raised.value) == f"SLICEWISE_GATEWAY_{name.upper()}: {sentence}"


def test_a_variable_of_the_kubelet_is_named_by_its_own_name() -> None:
    with pytest.raises(SettingsError, match=r"^KUBERNETES_SERVICE_PORT: Input should be a valid integer"):
        read_settings(GatewaySettings, NEEDED | {"KUBERNETES_SERVICE_PORT": "tcp://10.0.0.1:443"})


def test_all_that_is_wrong_is_in_one_sentence() -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(EdgeSettings, {"SLICEWISE_GATEWAY_LOG_FORMAT": "xml"})
    assert str(raised.value) == (
        "SLICEWISE_GATEWAY_POOL: Field required; SLICEWISE_GATEWAY_NAMESPACE: Field required; "
        "SLICEWISE_GATEWAY_LOG_FORMAT: Input should be 'json' or 'text'"
    )
