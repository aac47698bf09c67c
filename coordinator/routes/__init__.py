"""The HTTP routes of version 1, one blueprint per group."""
