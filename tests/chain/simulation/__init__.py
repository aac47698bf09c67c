"""Networks of real nodes on a clock, a network and disks that one seed decides about."""
