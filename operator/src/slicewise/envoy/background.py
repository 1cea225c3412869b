"""Which POSTs to `/v1/responses` are for the API of jobs: those with `"background": true`. A filter of Envoy's that looks into bodies.

The word is looked for first, which costs nothing beside a request. Only a body that has it is read as JSON, as far as it takes to tell a
field of the request from what a user wrote about one. What is not told apart harms nothing: a worker refuses the field, and the API of jobs
refuses a request without it.
"""

from __future__ import annotations

from typing import Final

from slicewise.envoy.discovery import TYPE, Json, typed
from slicewise.envoy.model import BACKGROUND_HEADER, GatewayModel

BACKGROUND_FILTER: Final = "background"
_LUA: Final = "envoy.extensions.filters.http.lua.v3"
_CODE: Final = """\
local word = '"background"'
-- Where the string ends that begins at this quote; nil: nowhere.
local function ending(text, at)
  while true do
    at = text:find('["\\\\]', at + 1)
    if not at or text:byte(at) == 34 then return at end
    at = at + 1
  end
end
local function asked(text)
  if not text:find(word, 1, true) then return false end
  local depth, at, found = 0, 0, false
  while true do
    at = text:find('["{}%[%]]', at + 1)
    if not at then return found end
    local byte = text:byte(at)
    if byte == 34 then
      local last = ending(text, at)
      if not last then return false end
      if depth == 1 and text:sub(at, last) == word then
        local value = text:match('^%s*:%s*(%a*)', last + 1)
        if value then found = value == 'true' end
      end
      at = last
    elseif byte == 123 or byte == 91 then
      depth = depth + 1
    else
      depth = depth - 1
    end
  end
end
function envoy_on_request(handle)
  if handle:headers():get(":method") ~= "POST" then return end
  local body = handle:body()
  if body and asked(body:getBytes(0, body:length())) then
    handle:headers():replace("HEADER", "1")
    handle:clearRouteCache()
  end
end
"""


def background_filters(model: GatewayModel) -> list[Json]:
    """Return the filter; it comes behind the one that waits for whole bodies, and does nothing where a route does not ask for it."""
    return [] if model.jobs is None else [typed(BACKGROUND_FILTER, f"{_LUA}.Lua")]


def find_background() -> Json:
    """Return what a route needs, as part of its `typed_per_filter_config`."""
    code = _CODE.replace("HEADER", BACKGROUND_HEADER)
    return {BACKGROUND_FILTER: {"@type": f"{TYPE}/{_LUA}.LuaPerRoute", "source_code": {"inline_string": code}}}
