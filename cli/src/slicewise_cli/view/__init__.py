"""What the commands show, as values: from plain objects of the API server, without I/O and without a clock."""
