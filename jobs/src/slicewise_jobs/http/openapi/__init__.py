"""The OpenAPI document of the API: `document` makes it, and a test compares it with the handlers and with what they answer."""
