"""What tenants count for in the workers: a filter, by ECDS, that puts a tenant's weight and priority into headers of their own.

A file of its own, and no part of the listener: a change of weights closes no connection.
"""

from __future__ import annotations

from typing import Final

from slicewise.envoy.discovery import EXTENSION, TYPE, Json, from_file, response
from slicewise.envoy.model import PRIORITY_HEADER, TENANT_HEADER, WEIGHT_HEADER, GatewayModel

SHARES_FILTER: Final = "tenant-shares"
SHARES_FILE: Final = "ecds-shares.json"
_LUA: Final = "envoy.extensions.filters.http.lua.v3.Lua"
_CODE: Final = """\
local weights = {%s}
local batch = {%s}
function envoy_on_request(handle)
  local headers = handle:headers()
  local tenant = headers:get("%s") or ""
  if weights[tenant] then headers:replace("%s", weights[tenant]) end
  if batch[tenant] then headers:replace("%s", "batch") end
end
"""


def build_shares(model: GatewayModel) -> Json | None:
    """Return the ECDS file; None where the pool says nothing of its tenants."""
    if not model.shares:
        return None
    # Names are checked to have no character that ends a text in Lua.
    weights = ",".join(f'["{share.tenant}"]="{share.weight}"' for share in model.shares if share.weight != 1)
    batch = ",".join(f'["{share.tenant}"]=true' for share in model.shares if share.batch)
    return response(EXTENSION, [{"name": SHARES_FILTER, "typed_config": _filter(weights, batch)}])


def share_filters(model: GatewayModel) -> list[Json]:
    """Return the filter, which comes behind the one that finds the tenant."""
    if not model.shares:
        return []
    discovery = {
        "config_source": from_file(model.directory, SHARES_FILE),
        "type_urls": [f"{TYPE}/{_LUA}"],
        # With a file that cannot be read, all tenants count the same.
        "default_config": _filter("", ""),
    }
    return [{"name": SHARES_FILTER, "config_discovery": discovery}]


def _filter(weights: str, batch: str) -> Json:
    code = _CODE % (weights, batch, TENANT_HEADER, WEIGHT_HEADER, PRIORITY_HEADER)
    return {"@type": f"{TYPE}/{_LUA}", "default_source_code": {"inline_string": code}}
