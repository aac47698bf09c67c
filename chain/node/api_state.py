"""Routes for the objects of the state, as the head has them.

Each is shown with whether it is final: whether the last final block's state has the very same object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Blueprint, Response

from chain.node.http import MAX_PAGE, PAGE, answer, arguments, bad, choice, integer, not_found
from chain.node.listing import WHICH, Key
from chain.node.service import Service
from chain.schema import to_object
from chain.state import Account, Attested, Job, State, version_key
from chain.state.membership import escrowed
from chain.tree import Entry

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_HEIGHT = re.compile(r"[0-9]{1,15}")
#: Finds an object in a state; None where there is none.
Look = Callable[[State], Any]


def blueprint(service: Service) -> Blueprint:
    """The routes."""
    routes = Blueprint("state", __name__)
    chain, listing = service.node.chain, service.node.listing

    def one(what: str, name: str, look: Look) -> Response:
        arguments()
        head, final = chain.ends
        value = look(head.state)
        if value is None:
            raise not_found(f"{what} that exists", name)
        return answer({**stand(head, final), **item(value, look, final)})

    def many(page: Iterable[tuple[Any, Look]], following: str | None, head: Entry, final: Entry) -> Response:
        items = [item(value, look, final) for value, look in page]
        return answer({**stand(head, final), "items": items, "next": following})

    def by_name(table: str) -> Response:
        given = arguments("limit", "cursor")
        limit = integer(given, "limit", PAGE, 1, MAX_PAGE)
        head, final = chain.ends
        rows = getattr(head.state, table)
        names, following = listing.names(table, given.get("cursor", ""), limit)
        return many([(rows[name], _row(table, name)) for name in names if name in rows], following, head, final)

    @routes.get("/accounts/<address>")
    def account(address: str) -> Response:
        if not _ADDRESS.fullmatch(address):
            raise not_found("an address (0x and 40 lowercase hexadecimal digits)", address)
        arguments()
        head, final = chain.ends

        def look(state: State) -> Account:
            return state.accounts.get(address, Account(balance=0))

        shown = item(look(head.state), look, final)
        return answer({**stand(head, final), **shown, "escrowed": escrowed(head.state, address)})

    @routes.get("/datasets")
    def datasets() -> Response:
        return by_name("datasets")

    @routes.get("/datasets/<name>")
    def dataset(name: str) -> Response:
        return one("a dataset", name, _row("datasets", name))

    @routes.get("/models")
    def models() -> Response:
        return by_name("models")

    @routes.get("/models/<name>")
    def model(name: str) -> Response:
        return one("a model", name, _row("models", name))

    @routes.get("/models/<name>/versions")
    def versions(name: str) -> Response:
        given = arguments("limit", "cursor")
        limit = integer(given, "limit", PAGE, 1, MAX_PAGE)
        after = integer(given, "cursor", 0, 0, 2**31)
        head, final = chain.ends
        found = head.state.models.get(name)
        if found is None:
            raise not_found("a model that exists", name)
        numbers = range(after + 1, min(after + limit, found.versions) + 1)
        page = [(head.state.versions[version_key(name, n)], _row("versions", version_key(name, n))) for n in numbers]
        more = bool(numbers) and numbers[-1] < found.versions
        return many(page, str(numbers[-1]) if more else None, head, final)

    @routes.get("/models/<name>/versions/<int:number>")
    def version(name: str, number: int) -> Response:
        return one("a version", f"{name}@{number}", _row("versions", version_key(name, number)))

    @routes.get("/models/<name>/versions/<int:number>/attestations")
    def attestations(name: str, number: int) -> Response:
        key = version_key(name, number)
        none = Attested(name, number, ())

        def look(state: State) -> Attested | None:
            return state.attestations.get(key, none) if key in state.versions else None

        return one("a version", f"{name}@{number}", look)

    @routes.get("/jobs")
    def jobs() -> Response:
        given = arguments("state", "order", "limit", "cursor")
        limit = integer(given, "limit", PAGE, 1, MAX_PAGE)
        which = choice(given, "state", WHICH)
        newest = choice(given, "order", ("oldest", "newest")) == "newest"
        after = job_key(given)
        head, final = chain.ends
        found, following = listing.jobs(head.state, which, after, limit, newest)
        items = [shown_job(job, final) for job in found]
        return answer({**stand(head, final), "items": items, "next": following and _job_cursor(following)})

    @routes.get("/jobs/<identifier>")
    def job(identifier: str) -> Response:
        arguments()
        head, final = chain.ends
        found = listing.job(head.state, identifier)
        if found is None:
            raise not_found("a job that exists", identifier)
        return answer({**stand(head, final), **shown_job(found, final)})

    @routes.get("/validators")
    def validators() -> Response:
        return one("a set", "validators", lambda state: state.validators)

    @routes.get("/finality")
    def finality() -> Response:
        arguments()
        head, final = chain.ends
        shown = item(head.state.finality, lambda state: state.finality, final)
        return answer({**stand(head, final), **shown, "voted": _voted(head.state)})

    return routes


def _row(table: str, key: str) -> Look:
    return lambda state: getattr(state, table).get(key)


def _voted(state: State) -> dict[str, int]:
    """How high the newest vote that a block holds reaches, of each member that has one."""
    members = sorted({address for each in state.voting_sets for address in each.members})
    return {each: state.voters[each].target_height for each in members if each in state.voters}


def _job_cursor(key: Key) -> str:
    """Where a page of jobs ended: their order is that of their blocks."""
    return f"{key[0]}-{key[1]}"


def job_key(given: Mapping[str, str]) -> Key | None:
    """The query parameter ``cursor`` of a list of jobs."""
    text = given.get("cursor")
    if text is None:
        return None
    height, dash, identifier = text.partition("-")
    if not (_HEIGHT.fullmatch(height) and dash):
        raise bad("cursor", "what the answer before gave as next", text)
    return int(height), identifier


def shown_job(job: Job, final: Entry) -> dict[str, Any]:
    """A job and whether it is final: what is closed stays so once the block that closed it is final."""
    if job.closed_height is None:
        return item(job, _row("jobs", job.id), final)
    return {"value": to_object(job), "final": job.closed_height <= final.height}


def stand(head: Entry, final: Entry) -> dict[str, Any]:
    """Where the node stands."""
    return {"height": head.height, "head": head.id, "final_height": final.height}


def item(value: Any, look: Look, final: Entry) -> dict[str, Any]:
    """An object and whether it is final."""
    return {"value": to_object(value), "final": look(final.state) == value}
