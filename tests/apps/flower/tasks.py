"""A task that runs every second, so that Flower has something to show."""

import os

from celery import Celery

app = Celery("tasks", broker=os.environ["QUEUE"], backend=os.environ["QUEUE"])
app.conf.beat_schedule = {"every second": {"task": "tasks.add", "schedule": 1.0, "args": (20, 22)}}


@app.task
def add(left, right):
    return left + right
