"""What readers get: every stored object as bytes, the recent changes, and the streams that follow them."""
