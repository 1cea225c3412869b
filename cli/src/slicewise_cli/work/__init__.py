"""What the commands do: reads, lets `view` decide, writes, shows by `render`. Loaded when a command runs: the client takes a second."""
