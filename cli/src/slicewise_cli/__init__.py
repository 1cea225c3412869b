"""`kubectl slicewise`: what a pool does and why, and the requests that steer its rollouts."""
