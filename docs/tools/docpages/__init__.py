"""The generated pages of the documentation, one module each, and what they read."""
