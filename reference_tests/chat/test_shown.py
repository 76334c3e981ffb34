"""What a notebook and a prompt show: short, telling, and with nothing of a text taken for markup."""

from dataclasses import replace

from npblender.chat import Conversation
from reference_tests.support.tiny_folder import make_model, make_tokenizer


def test_a_conversation_and_a_reply_in_a_line() -> None:
    talk = Conversation(make_model(seed=2), make_tokenizer(), num_beams=3, min_length=3, max_length=9)
    assert repr(talk).startswith("Conversation(0 turns; 0 lines of persona, profile 'parlai', BlenderbotSmallFor")
    reply = talk.reply("hello")
    assert repr(talk).startswith("Conversation(2 turns, the last '")
    assert len(repr(talk)) < 400
    assert repr(reply).startswith(f"Reply({reply.text!r}, score ")
    assert repr(reply).endswith(f"found, {len(reply.source.ids)} tokens read)")
    assert str(reply) == reply.text


def test_a_notebook_shows_the_reply_and_the_others() -> None:
    talk = Conversation(make_model(seed=2), make_tokenizer(), num_beams=3, min_length=3, max_length=9)
    reply = talk.reply("hello")
    others = replace(reply.n_best[0], text="<i>", score=-1.5), replace(reply.n_best[0], score=None)
    found = replace(reply, text="<b>&", n_best=others)
    html = found._repr_html_()
    assert html.startswith("<p>&lt;b&gt;&amp;</p>")
    assert "<td>-1.5000</td><td>&lt;i&gt;</td>" in html
    assert html.count("<tr>") == 3
    assert "<table>" not in replace(reply, n_best=reply.n_best[:1])._repr_html_()
