"""The sum of everything that is owned: no transaction but genesis makes or loses any."""

from __future__ import annotations

from chain.state.tables import State


def supply(state: State) -> int:
    """Balances, stakes, what waits for its release, rewards held by open jobs, and what misconduct has burned.

    Looks at every account: for tests and audits.
    """
    owned = sum(account.owned for account in state.accounts.values())
    return owned + sum(state.jobs[job].reward for job in state.open_jobs) + state.burned
