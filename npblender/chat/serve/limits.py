"""What one request, one connection and the whole server may take: every limit by name, with its reason."""

from __future__ import annotations

MOST_BODY_BYTES = 1 << 20
"""Bytes of a request's body: 1 MiB. The longest source of any model here is 512 tokens, a few KiB of text."""
MOST_HEADER_BYTES = 1 << 15
"""Bytes of a request's line and headers: 32 KiB. Browsers and clients send 1 or 2; cookies of other pages on the same
host may make it more. uvicorn limits only headers that come in parts; the guard counts those that come
whole."""
MOST_MESSAGES = 1000
"""Messages of one request. A model reads the last few dozen; a client that sends a whole day's talk is still served."""
MOST_CHARACTERS = 20_000
"""Characters of one message. Its end is what is read, and 512 tokens are about 2,500 characters."""
MOST_CHARACTERS_IN_ALL = 200_000
"""Characters of all messages: cutting them into tokens takes a second or two at most."""
MOST_CHOICES = 16
"""Replies to one request (`n`): each takes a place in the batch."""
MOST_PROMPTS = 16
"""Prompts of one request to /v1/completions, for the same reason."""
MOST_STOPS = 4
"""Texts that end a reply: what OpenAI's interface allows."""
MOST_STOP_CHARACTERS = 200
"""Characters of each: while one could still begin, words are kept back from a stream."""
MOST_TOP_LOGPROBS = 20
"""Tokens shown beside each of the reply: what OpenAI's interface allows."""
MOST_ROWS = 64
"""Paths that are decoded at once, over all requests. A row of the published model takes 16 KiB a layer and token in
each cache: 64 rows at full length are 2 GiB. More rows make each step slower for everyone and little more in all."""
QUEUE = 128
"""Requests that may wait by default. With this many waiting, a minute or so passes until the last is replied to."""
WINDOW_SECONDS = 0.005
"""How long a search that cannot be joined later waits for others like it: 5 ms, a few steps of a small model."""
REQUEST_SECONDS = 300.0
"""After so long a request is given up, waiting included. Clients give up earlier by themselves; this frees what a
stopped client holds."""
BODY_SECONDS = 30.0
"""How long a body may take to arrive: 1 MiB at 35 KiB/s. Slower ones are attacks, or connections that are lost."""
MOST_LINGERING_BYTES = 1 << 24
"""Bytes that are thrown away after a refusal, before the connection is closed: 16 MiB. Clients that send all before
they read then see why they are refused; larger ones may see a broken connection."""
LINGER_SECONDS = 2.0
"""How long that may take."""
HEADER_SECONDS = 20.0
"""How long the headers of a request may take to arrive, the first one of a connection or another."""
KEEP_ALIVE_SECONDS = 75
"""How long an idle connection is kept for its next request: longer than the 60 s after which balancers drop one by
default, so that it is the balancer that closes it."""
STOP_SECONDS = 60
"""How long a server goes on with what runs and waits when it is to stop."""
MOST_CONNECTIONS = 1000
"""Connections at once; further ones get status 503. A process may open 1,024 files by default."""
MOST_PAGES = 16
"""Pages of "look inside" that are kept for their tabs: the latest ones, of a few MB each."""
MOST_LISTED = 200
"""Conversations in the page's list: the latest ones. More than these are found with `npblender chat --db`."""
PING_SECONDS = 10.0
"""A stream that has nothing to say sends a comment this often, so that nothing on the way takes it for dead."""
