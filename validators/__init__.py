"""The validator: trains updates again, redoes the aggregation, scores, votes."""
