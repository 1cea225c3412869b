-- Which requests about a rollout can mean something now. The same rules as `kubectl slicewise`; a test holds one against the other.

local rollout = {}
if obj.status ~= nil and obj.status.rollout ~= nil then
  rollout = obj.status.rollout
end
local heldBySpec = obj.spec.rollout ~= nil and obj.spec.rollout.paused == true
local named = rollout.target ~= nil and rollout.startedAt ~= nil
local waiting = named and (rollout.phase == "Placing" or rollout.phase == "Warming" or rollout.phase == "Analysing")
local moving = waiting or (named and rollout.phase == "Promoting")
local back = named and rollout.phase == "RollingBack"

-- A roll-back goes forward again by request, and where no stable worker is ready that is all that ends it.
local wanted = obj.status ~= nil and obj.status.revisions ~= nil and obj.status.revisions.wanted
local forward = back and wanted == rollout.target
local gone = false
if back and obj.status.conditions ~= nil then
  for _, entry in ipairs(obj.status.conditions) do
    if entry.type == "RolloutProgressing" and entry.reason == "StableGone" then
      gone = true
    end
  end
end

-- The operator may not have seen a pause that stands on the pool already.
local paused = rollout.paused == true
local annotations = obj.metadata.annotations
if named and annotations ~= nil
  and annotations["slicewise.dev/rollout-request"] == "pause:" .. rollout.target .. ":" .. rollout.startedAt then
  paused = true
end

local actions = {}
actions["promote"] = {
  ["disabled"] = not ((waiting or forward) and not heldBySpec),
  ["displayName"] = "Promote",
  ["iconClass"] = "fa-solid fa-fw fa-check"
}
actions["abort"] = {
  ["disabled"] = not moving,
  ["displayName"] = "Abort",
  ["iconClass"] = "fa-solid fa-fw fa-ban"
}
actions["retry"] = {
  ["disabled"] = not ((named and rollout.phase == "RolledBack" or gone) and not heldBySpec),
  ["displayName"] = "Retry",
  ["iconClass"] = "fa fa-fw fa-redo"
}
actions["pause"] = {
  ["disabled"] = not (moving and not heldBySpec),
  ["displayName"] = "Pause",
  ["iconClass"] = "fa-solid fa-fw fa-pause"
}
actions["resume"] = {
  ["disabled"] = not ((moving or back) and paused and not heldBySpec),
  ["displayName"] = "Resume",
  ["iconClass"] = "fa-solid fa-fw fa-play"
}
actions["skip-step"] = {
  ["disabled"] = not (named and rollout.phase == "Analysing" and rollout.step ~= nil and not paused and not heldBySpec),
  ["displayName"] = "Skip step",
  ["iconClass"] = "fa-solid fa-fw fa-forward"
}
return actions
