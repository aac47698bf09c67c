"""One transaction given to a node, for tests that look at one."""

from __future__ import annotations

from chain.errors import ChainError
from chain.node.core import Node
from chain.node.interface import Receipt


def taken(node: Node, data: bytes) -> Receipt:
    """Its receipt. Raises the error that `Node.receive_transactions` answers with."""
    (answer,) = node.receive_transactions([data])
    if isinstance(answer, ChainError):
        raise answer
    return answer
