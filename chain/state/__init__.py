"""The state transition, pure: what a block changes, and what it may not."""
