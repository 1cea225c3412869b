"""The dispatcher: claims jobs, runs them through the gateway, and writes down what became of them."""
