"""The edge: requests that wait for a worker, and answers that are given again. It sends on through Envoy, never to a worker."""
