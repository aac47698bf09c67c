"""What every service shares: settings, logs, signals, serving, numeric pins, the guard, supervision."""
