"""The ledger: a proof-of-work chain whose state transition adopts models only by a quorum of validators."""
