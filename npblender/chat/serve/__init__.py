"""A server: replies over HTTP in the shapes of OpenAI's interface. Needs the extra `npblender[serve]`.

    body -> Asked -> Jobs -> Tickets in the Line -> the Engine's threads -> events -> JSON, or a stream

In reading order:
    limits, errors              every limit with its reason; errors as clients get them
    fields, messages, asked     a request's body, checked, as one record; pure
    speakers                    the model in every dialect, and the searches that a request takes
    tickets, waiting            a search on its way, and the bounded line
    telling, whole_replies      a reply as text piece by piece: stop texts, log-probabilities
    stepping, engine            searches of many callers together
    asking, answers             results back to their request, and the objects that are sent
    metrics, guards             what is counted; who may send what
    routes, chat_page           the routes of OpenAI's interface; those of the page to chat in, whose files lie in page/
    inside                      the page of `npblender explain` for a reply, for the page's "look inside"
    app, running                the application, and the server that runs it
"""
