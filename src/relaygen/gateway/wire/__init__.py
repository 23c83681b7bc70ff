"""What goes over the wire: requests in, replies and events out."""
