"""A server: replies over HTTP in the shapes of OpenAI's interface. Needs the extra `npblender[serve]`.

    body -> ReplyRequest -> Jobs -> Submissions in the RequestQueue -> the Engine -> events -> JSON, or a stream

In reading order:
    limits, errors                 every limit with its reason; errors as clients get them
    fields, messages, request_body a request's body, checked, as one record; pure
    dialect_models                 the model in every dialect, and the searches that a request takes
    submissions, request_queue     a search on its way, and the bounded line
    reply_text, whole_replies      a reply as text piece by piece: stop texts, log-probabilities
    shared_steps, engine           searches of many callers together
    exchange, answers              results back to their request, and the objects that are sent
    asgi, metrics, body, guards    JSON in and out; what is counted; a body within its limits; who may send what
    routes, chat_page              the routes of OpenAI's interface; those of the chat page, whose files lie in page/
    inside                         the page of `npblender explain` for a reply, for the page's "look inside"
    app, lingering, running        the application, how a connection is closed, and the server that runs it
"""
