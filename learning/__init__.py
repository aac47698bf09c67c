"""Tables, partitions, estimators, training, aggregation, evaluation and artifacts: the same code for everybody."""

from learning import slim

slim.install()
