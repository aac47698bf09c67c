"""What every service shares: settings, logging, signals, serving, numeric pins, the guard against a dead parent."""
