-- Which requests about a rollout can mean something now. The same rules as `kubectl slicewise`; a test holds one against the other.

local rollout = {}
if obj.status ~= nil and obj.status.rollout ~= nil then
  rollout = obj.status.rollout
end
local heldBySpec = obj.spec.rollout ~= nil and obj.spec.rollout.paused == true
local named = rollout.target ~= nil and rollout.startedAt ~= nil
local waiting = named and (rollout.phase == "Placing" or rollout.phase == "Warming" or rollout.phase == "Analysing")
local moving = waiting or (named and rollout.phase == "Promoting")

-- The operator may not have seen a pause that stands on the pool already.
local paused = rollout.paused == true
local annotations = obj.metadata.annotations
if named and annotations ~= nil
  and annotations["slicewise.dev/rollout-request"] == "pause:" .. rollout.target .. ":" .. rollout.startedAt then
  paused = true
end

local actions = {}
actions["promote"] = {
  ["disabled"] = not (waiting and not heldBySpec),
  ["displayName"] = "Promote",
  ["iconClass"] = "fa-solid fa-fw fa-check"
}
actions["abort"] = {
  ["disabled"] = not moving,
  ["displayName"] = "Abort",
  ["iconClass"] = "fa-solid fa-fw fa-ban"
}
actions["retry"] = {
  ["disabled"] = not (named and rollout.phase == "RolledBack" and not heldBySpec),
  ["displayName"] = "Retry",
  ["iconClass"] = "fa fa-fw fa-redo"
}
actions["pause"] = {
  ["disabled"] = not (moving and not heldBySpec),
  ["displayName"] = "Pause",
  ["iconClass"] = "fa-solid fa-fw fa-pause"
}
actions["resume"] = {
  ["disabled"] = not (moving and paused and not heldBySpec),
  ["displayName"] = "Resume",
  ["iconClass"] = "fa-solid fa-fw fa-play"
}
actions["skip-step"] = {
  ["disabled"] = not (named and rollout.phase == "Analysing" and rollout.step ~= nil and not heldBySpec),
  ["displayName"] = "Skip step",
  ["iconClass"] = "fa-solid fa-fw fa-forward"
}
return actions
