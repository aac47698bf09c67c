"""What a block that comes onto the head's branch, or leaves it, changes in the database."""

from __future__ import annotations

from chain.packing import pack
from chain.state import State, compacted
from chain.store import Store, StoredJob
from chain.transactions import RegisterDataset, RegisterModel
from chain.tree import Entry


def connect(store: Store, before: State, entry: Entry) -> None:
    """Write down that the block is on the head's branch.  ``before``: the state of its parent.

    Jobs that leave the state with it go to the archive, and stay there if the block leaves the branch again: they were
    closed by a block that this one's parent shows final, which every later head's branch has in it. So what the archive
    has of a job is true for good; it may be in the state beside that for some blocks, and then is the very same.
    """
    store.set_connected(entry.height, entry.id, transactions(entry))
    store.put_jobs(
        StoredJob(job.id, job.height, job.state, pack(job)) for job in compacted(before, entry.state)
    )
    store.put_names(_registered(entry))


def disconnect(store: Store, entry: Entry) -> None:
    """Write down that the block has left the head's branch."""
    store.set_disconnected(entry.height, entry.id, transactions(entry))
    store.drop_names(_registered(entry))


def transactions(entry: Entry) -> list[str]:
    """Ids of the block's transactions, in order."""
    return [signed.id for signed in entry.block.transactions]


def _registered(entry: Entry) -> list[tuple[str, str]]:
    """The names that the block registers: what is in a block has been done, and nothing takes a name back."""
    found = []
    for signed in entry.block.transactions:
        payload = signed.body.payload
        if isinstance(payload, RegisterDataset):
            found.append(("datasets", payload.name))
        elif isinstance(payload, RegisterModel):
            found.append(("models", payload.name))
    return found
