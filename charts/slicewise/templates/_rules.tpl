{{/*
What the operator does, as RBAC rules. charts/tools/rbac_audit.py compares them with the API server's audit log of the
end-to-end run: a verb that is never used, or one that is missing, fails it.

Server-side apply is the verb `patch`, and `create` besides where the object did not exist.
*/}}

{{/* Rules in each namespace whose pools are served. */}}
{{- define "slicewise.rules.namespace" -}}
- apiGroups: [slicewise.dev]
  resources: [inferencepools]
  verbs: [get, list, watch]
- apiGroups: [slicewise.dev]
  resources: [inferencepools/status]
  verbs: [patch]
# Lets children say that a foreground deletion of the pool waits for them, where the cluster checks that right.
- apiGroups: [slicewise.dev]
  resources: [inferencepools/finalizers]
  verbs: [update]
# Children that go when the plan no longer has them.
- apiGroups: [apps]
  resources: [deployments, controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps, services]
  verbs: [get, list, watch, create, patch, delete]
# Children that stay as long as their pool. A claim may hold the only copy of the weights, so there is no right to delete it.
- apiGroups: [""]
  resources: [serviceaccounts, persistentvolumeclaims]
  verbs: [get, list, watch, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch]
# The rights of a gateway's agent in its pool's namespace: this one role and no other may be given out.
- apiGroups: [rbac.authorization.k8s.io]
  resources: [rolebindings]
  verbs: [get, list, watch, create, patch]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [clusterroles]
  resourceNames: [{{ include "slicewise.gatewayRole" . }}]
  verbs: [bind]
# Workers; deleted when Failed, or when their device died.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, delete]
# Own Events; and those about a claim without a volume or a pod that cannot mount one, which alone say why.
- apiGroups: [""]
  resources: [events]
  verbs: [list, create, patch]
{{- end -}}

{{/* What a gateway's agent follows, in the namespace of its pool; and that namespace itself, to learn that it is being deleted. */}}
{{- define "slicewise.rules.gateway" -}}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
# A condition, written once, in a namespace that is being deleted: Kubernetes looks at such a namespace again when it changes.
- apiGroups: [""]
  resources: [namespaces/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
{{- end -}}

{{/* Rules of the whole cluster in any case: slices and zones are counted on nodes. */}}
{{- define "slicewise.rules.cluster" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end -}}

{{/* Rules in the operator's own namespace. */}}
{{- define "slicewise.rules.own" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "slicewise.operator" . }}]
  verbs: [get, update]
{{- end -}}
