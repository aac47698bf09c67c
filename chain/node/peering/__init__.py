"""How nodes talk to each other: the protocol without sockets or clock, and its HTTP shell.

``messages`` and ``codec`` say what travels, ``protocol`` what is done about it (:class:`Peering`), ``headers``,
``download``, ``limits`` and ``book`` are its parts; ``http`` and ``links`` are the only modules that do I/O.
"""
