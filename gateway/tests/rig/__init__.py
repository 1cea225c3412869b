"""Real Envoy, real upstream servers, real API server objects for the gateway's tests."""
