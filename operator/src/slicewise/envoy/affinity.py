"""Which worker a conversation goes to: the one that has its beginning in its cache, while that is not busier than the others.

Envoy finds it by consistent hashing with bounded load: a filter makes a number of the tenant and of how the first message of a user begins,
which is the same in every turn of a conversation.
"""

from __future__ import annotations

from typing import Final

from slicewise.envoy.discovery import TYPE, Json, typed
from slicewise.envoy.model import AFFINITY_HEADER, TENANT_HEADER, GatewayModel

AFFINITY_FILTER: Final = "affinity"
BALANCE_PERCENT: Final = 125
"""A worker gets none of its own conversations while it has more than this of the mean of what runs, rounded up."""
_LUA: Final = "envoy.extensions.filters.http.lua.v3"
_RING_HASH: Final = "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash"
_CODE: Final = """\
local bit = require("bit")
-- FNV-1a, which takes no multiplication beyond what a double holds.
local function add(hash, byte)
  hash = bit.bxor(hash, byte)
  return bit.tobit(bit.tobit(hash * 403) + bit.lshift(hash, 24))
end
-- Where the text of the first message of a user begins; of requests without messages, that of the prompt.
local function message(text)
  local at = text:find('"user"', 1, true)
  local content = at and text:find('"content"', at, true)
  if not content then return select(2, text:find('"prompt"%%s*:%%s*"')) or select(2, text:find('"input"%%s*:%%s*"')) end
  local _, quote = text:find('^"content"%%s*:%%s*"', content)
  if quote then return quote end
  return select(2, text:find('"text"%%s*:%%s*"', content))
end
function envoy_on_request(handle)
  local body = handle:body()
  if not body then return end
  local text = body:getBytes(0, math.min(body:length(), %d))
  local headers = handle:headers()
  local hash = bit.tobit(0x811c9dc5)
  for _, byte in ipairs({(headers:get("%s") or ""):byte(1, 256)}) do hash = add(hash, byte) end
  local start = (message(text) or 0) + 1
  local escaped = false
  for index = start, math.min(start + %d, #text) do
    local byte = text:byte(index)
    if byte == 34 and not escaped and start > 1 then break end
    escaped = byte == 92 and not escaped
    hash = add(hash, byte)
  end
  headers:replace("%s", bit.tohex(hash))
end
"""
_LOOKED_AT: Final = 64 << 10
"""Bytes of a body in which the first message is looked for; instructions come before it."""
_COUNTED: Final = 255
"""Bytes of it that count, less one: longer first messages may differ later."""


def affinity_filters(model: GatewayModel) -> list[Json]:
    """Return the filter; it comes behind the one that waits for whole bodies."""
    if not model.affinity:
        return []
    code = _CODE % (_LOOKED_AT, TENANT_HEADER, _COUNTED, AFFINITY_HEADER)
    return [typed(AFFINITY_FILTER, f"{_LUA}.Lua", default_source_code={"inline_string": code})]


def without_affinity(model: GatewayModel) -> Json:
    """Return what a route needs whose bodies are not waited for, as part of its `typed_per_filter_config`."""
    return {AFFINITY_FILTER: {"@type": f"{TYPE}/{_LUA}.LuaPerRoute", "disabled": True}} if model.affinity else {}


def hash_policy(model: GatewayModel) -> Json:
    """Return what a route to workers goes by, as part of its `route`."""
    return {"hash_policy": [{"header": {"header_name": AFFINITY_HEADER}}]} if model.affinity else {}


def ring_hash() -> Json:
    """Return the cluster's `load_balancing_policy`. A request without a hash gets one by chance."""
    return {
        "policies": [
            {
                "typed_extension_config": {
                    "name": "envoy.load_balancing_policies.ring_hash",
                    "typed_config": {
                        "@type": f"{TYPE}/{_RING_HASH}",
                        "consistent_hashing_lb_config": {"hash_balance_factor": BALANCE_PERCENT},
                    },
                }
            }
        ]
    }
