"""A node: one process that keeps the chain, mines, and serves it over HTTP."""
