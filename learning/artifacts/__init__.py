"""A model as bytes: canonical, so that equal training gives equal content identifiers, and safe to load.

`learning.artifacts.codec` has `dump` and `load`.
"""
