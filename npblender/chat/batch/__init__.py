"""Replies to many inputs, in order, on this machine or on a cluster.

jobs, workers      what travels to a worker, and what a worker does
running            inputs in, records out, over any `concurrent.futures.Executor`
resumable          a file that a killed run goes on with
"""

from npblender.chat.batch.running import Record, replies_in_order, reply_to_all

__all__ = ["Record", "replies_in_order", "reply_to_all"]
