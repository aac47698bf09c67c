"""Tables, partitions, estimators, training, aggregation, evaluation and artifacts: the same code for everybody."""
