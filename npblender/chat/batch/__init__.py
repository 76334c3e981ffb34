"""Replies to many inputs, in order, on this machine or on a cluster. In reading order:

running      inputs in, records out, over any `concurrent.futures.Executor`
requests     a line of text or JSON -> a request
jobs         how a batch is replied to: what is sent to a worker
workers      what a worker does with it
resumable    an output file that a killed run goes on with
"""

from npblender.chat.batch.running import Record, replies_in_order, reply_to_all

__all__ = ["Record", "replies_in_order", "reply_to_all"]
