"""How much memory a model needs: the outcome of a dry run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Needs:
    """Memory of a model in bytes, on the device that computes: weights, KV cache of all sequences, buffers of a step, adapters."""

    weights: int
    cache: int
    compute: int
    trained_context: int
    """Tokens that the model was trained for."""
    adapters: int = 0
    """Adapters and what the largest adds to the buffers of a step."""
    records: int = 0
    """What llama.cpp keeps beside: vocabulary, graphs, the cells of the cache. 0 where a GPU computes."""
    laid_out: int = 0
    """Of the weights, what the CPU's code keeps in an order of its own beside the mapped file. 0 where a GPU computes."""
    host: int = 0
    """Where a GPU computes: what all that is not on it takes of the container's memory."""

    @property
    def total(self) -> int:
        """What the device that computes has to have room for."""
        return self.weights + self.cache + self.compute + self.adapters + self.records
