"""One file for each command: its options first, then its flow, top to bottom.

The Kubernetes client and the API's models take a second to import. Commands import them when they run, so that help and completion of
options start fast.
"""
