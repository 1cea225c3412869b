"""The commands' names, arguments and options. Each loads what it does (`work`) when it runs."""
