"""What drives batches on: checking inputs, making jobs of their lines, gathering the answers."""
