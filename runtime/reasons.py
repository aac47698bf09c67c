"""Why a connection failed, in a few words."""

from __future__ import annotations


def reason(error: BaseException) -> str:
    """The operating system's own words where there are some, else those of the first cause: what HTTP libraries say is
    the address three times over, with their own classes' names."""
    inner: BaseException | None = error
    first = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror.lower()
        first, inner = inner, inner.__cause__ or inner.__context__
    return str(first) or type(first).__name__
