"""Other ways to ask for a chat: each is translated to the chat request and back, so that what one can, all can.

A dialect's `*_request.py` has its fields, `*_chat.py` makes the chat request, `*_answer.py` writes answers and events. All of that
is pure; `handlers.py` puts it around the chat endpoint.
"""
