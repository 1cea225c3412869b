"""What each of these programs is given: `program BASE_URL MODEL`. They run in the environment of locks/clients.txt.

The model is `caller`: it always answers "Let me look." and a call of `get_weather`.
"""

from __future__ import annotations

import sys
from typing import Literal

from pydantic import BaseModel, ConfigDict

URL, MODEL = sys.argv[1:3]
KEY = "a-key-of-acme"
QUESTION = "What is the weather in Paris?"
SAID = "Let me look."
CITY = {"city": "Paris"}


class Weather(BaseModel):
    """The weather: nothing in it can go on for ever, which this model would do."""

    model_config = ConfigDict(extra="forbid")
    unit: Literal["C", "F"]
    degrees: Literal[8, 9]


def get_weather(city: str) -> str:
    """Say the weather in a city."""
    return f"9 C in {city}"
