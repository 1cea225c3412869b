-- Health of an InferencePool, from its conditions. The kind follows kstatus (Ready, Reconciling, Stalled); this adds Suspended, which
-- kstatus does not know, and the words of the condition that matters. Without the standard library, which Argo CD leaves out by default.

local function condition(kind)
  if obj.status.conditions ~= nil then
    for _, entry in ipairs(obj.status.conditions) do
      if entry.type == kind then
        return entry
      end
    end
  end
  return {}
end

local hs = {}

-- A new pool has observedGeneration -1, the schema's default.
if obj.status == nil or obj.status.observedGeneration == nil
  or (obj.metadata.generation ~= nil and tonumber(obj.status.observedGeneration) ~= tonumber(obj.metadata.generation)) then
  hs.status = "Progressing"
  hs.message = "Waiting for the operator to look at the spec"
  return hs
end

-- Somebody has to change something: a spec that is refused, a source that is not there, a revision that was given up.
local stalled = condition("Stalled")
if stalled.status == "True" then
  hs.status = "Degraded"
  hs.message = stalled.message
  return hs
end

-- Waits for somebody on purpose: paused by the spec or by request, or undecided at its deadline.
local rollout = condition("RolloutProgressing")
if rollout.status == "False" and (rollout.reason == "Paused" or rollout.reason == "Undecided") then
  hs.status = "Suspended"
  hs.message = rollout.message
  return hs
end

local ready = condition("Ready")
if ready.status == "True" then
  if ready.reason == "Suspended" then
    hs.status = "Suspended"
  else
    hs.status = "Healthy"
  end
else
  hs.status = "Progressing"
end
hs.message = ready.message
return hs
