-- One annotation that names the attempt: Argo CD leaves alone what is not in Git, and the operator only reads it.
local rollout = {}
if obj.status ~= nil and obj.status.rollout ~= nil then
  rollout = obj.status.rollout
end
if rollout.target == nil or rollout.startedAt == nil then
  error("no rollout is under way", 0)
end
local request = "abort:" .. rollout.target .. ":" .. rollout.startedAt
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["slicewise.dev/rollout-request"] = request
return obj
