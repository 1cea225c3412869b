"""Model weights: fetched by the init container `slicewise-fetch`, held open by the worker.

The worker uses `hold` and nothing else from here. This package never imports llama_cpp: the init container starts in a
fraction of a second.
"""

from slicewise_worker.weights.hold import HeldFile, hold

__all__ = ["HeldFile", "hold"]
