"""What is decided about jobs, without I/O: inputs in, values out; times come in as arguments."""
