"""One file a command: its options, then what it does, top to bottom.

What reaches the cluster is imported where a command runs: the client and the API's models take a second, which neither help nor
completion should wait for.
"""
