"""How the updates of a round become one model: averaged, merged or combined as an ensemble."""
