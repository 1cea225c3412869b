"""The agent: Envoy's files follow the cluster, and Envoy's own word on them is passed on."""
