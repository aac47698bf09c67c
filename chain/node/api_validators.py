"""Routes for those who look after the validators: who is one, who was slashed, and what this node has caught."""

from __future__ import annotations

from flask import Blueprint, Response

from chain.node.api_state import Look, item, stand
from chain.node.http import MAX_PAGE, PAGE, answer, arguments, integer
from chain.node.service import Service
from chain.schema import to_object
from chain.state.membership import membership, misconduct


def blueprint(service: Service) -> Blueprint:
    """The routes."""
    routes = Blueprint("validators", __name__)
    node, chain = service.node, service.node.chain

    @routes.get("/membership")
    def members() -> Response:
        arguments()
        head, final = chain.ends
        value = membership(head.state, node.params)
        return answer({**stand(head, final), **item(value, lambda state: membership(state, node.params), final)})

    @routes.get("/misconduct")
    def offences() -> Response:
        given = arguments("limit", "cursor")
        limit = integer(given, "limit", PAGE, 1, MAX_PAGE)
        head, final = chain.ends
        names = sorted(name for name in head.state.slashed if name > given.get("cursor", ""))
        items = [item(misconduct(head.state, name), _offence(name), final) for name in names[:limit]]
        following = names[limit - 1] if len(names) > limit else None
        return answer({**stand(head, final), "items": items, "next": following})

    @routes.get("/evidence")
    def evidence() -> Response:
        arguments()
        slashed = chain.head.state.slashed
        found = [report for report in node.witness.reports if report.validator not in slashed]
        return answer({**stand(*chain.ends), "items": [to_object(report) for report in found]})

    return routes


def _offence(validator: str) -> Look:
    return lambda state: misconduct(state, validator)
