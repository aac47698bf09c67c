"""Content-addressed storage: one protocol, `ContentStore`, and two stores behind it."""
