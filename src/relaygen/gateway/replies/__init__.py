"""From what the machine emits to what OpenAI's clients read: whole, or as server-sent events."""
