"""Lua 5.1 as Argo CD gives it to scripts from its ConfigMap: the base and table libraries, `os.time` and `os.date`, and nothing else.

After `util/lua/lua.go` of Argo CD: `string`, `math`, `io`, `debug` and coroutines are not opened, and strings have no methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lupa.lua51 import LuaError, LuaRuntime, lua_type

_RESTRICT = """
for _, name in ipairs({"string", "math", "io", "debug", "coroutine", "dofile", "loadfile", "require", "module", "python"}) do
  _G[name] = nil
end
os = {time = os.time, date = os.date}
"""


class ScriptError(Exception):
    """The script said no; its text is what Argo CD shows."""


def run(script: str, obj: Mapping[str, Any]) -> Any:
    """Run a script on an object and return what it returns, as plain data."""
    lua = LuaRuntime(register_eval=False, register_builtins=False, unpack_returned_tuples=True)
    lua.execute('getmetatable("").__index = nil')
    lua.execute(_RESTRICT)
    lua.globals()["obj"] = _given(lua, obj)
    try:
        return _returned(lua.execute(script))
    except LuaError as error:
        raise ScriptError(str(error)) from error


def _given(lua: LuaRuntime, value: Any) -> Any:
    """Numbers become floats, as everywhere in Lua 5.1; null is absent."""
    if isinstance(value, Mapping):
        return lua.table_from({key: _given(lua, item) for key, item in value.items() if item is not None})
    if isinstance(value, list):
        return lua.table_from([_given(lua, item) for item in value])
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _returned(value: Any) -> Any:
    """An empty table is an empty list, as Argo CD's JSON has it."""
    if lua_type(value) != "table":
        return value
    items = dict(value.items())
    if all(isinstance(key, int) for key in items):
        return [_returned(items[key]) for key in sorted(items)]
    return {key: _returned(item) for key, item in items.items()}


def cleaned(new: Any, old: Any) -> Any:
    """Return what Argo CD makes of an action's result: an empty list that was an empty object is one again (`cleanReturnedObj`)."""
    if isinstance(new, dict) and isinstance(old, dict):
        return {key: cleaned(item, old.get(key)) for key, item in new.items()}
    if isinstance(new, list) and isinstance(old, list):
        return [cleaned(item, old[index]) if index < len(old) else item for index, item in enumerate(new)]
    return {} if new == [] and isinstance(old, dict) else new
