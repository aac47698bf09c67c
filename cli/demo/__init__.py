"""`assay demo`: the whole path on one machine, told so that a newcomer can check it."""
