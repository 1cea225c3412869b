"""Values of `view` as trees, tables and lines of text. No I/O: a console is written to by `commands`."""
