"""The server beside the pages: HTTP API, headers, sessions, shared state."""
