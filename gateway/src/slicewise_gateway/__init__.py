"""What runs beside Envoy in a pool's gateway."""
