"""Utterances to committed text: backlog, backoff, the WebSocket and the thread that owns them."""
