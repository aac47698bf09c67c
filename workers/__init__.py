"""The Celery application and its tasks: train a partition, aggregate a round."""
