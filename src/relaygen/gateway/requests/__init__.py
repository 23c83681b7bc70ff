"""From a request as it was sent to what the library takes; what cannot be honoured is refused."""
