"""A conversation at the terminal: lines to reply to, and commands, which begin with /.

Ctrl-C cancels the reply in work and removes its line; a second one with nothing typed in between leaves. So does
Ctrl-D.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from npblender.chat.replies import reply_object
from npblender.cli.terminal import Terminal
from npblender.common.printable import cut, json_out, shown

if TYPE_CHECKING:
    from npblender.chat import Conversation
    from npblender.cli.kept import Keeper

INTERRUPTED = 130


class Command(NamedTuple):
    """A command /NAME."""

    usage: str
    help: str
    run: Callable[[Session, str], None]


class Session:
    """One session at a terminal. What each command does, a method each, stands in `COMMANDS`."""

    def __init__(
        self,
        conversation: Conversation,
        as_json: bool = False,
        terminal: Terminal | None = None,
        greeting: str | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self.conversation = conversation
        self._greeting = greeting  # what is said of the model before the first line
        self.terminal = Terminal(sys.stdout) if terminal is None else terminal
        self._as_json = as_json
        self._keeper = keeper
        self._leaving = False
        self._forgotten = 0  # dropped turns that were reported

    def run(self) -> int:
        """Talk until the user leaves; return the exit code."""
        if self._greeting is not None:
            self.terminal.note(self._greeting)
        self.terminal.note("Type what you want to say. /help lists the commands, Ctrl-D leaves.")
        interrupted = False
        while not self._leaving:
            try:
                text = self.terminal.read("you").strip()
                interrupted = self._handle(text) if text else interrupted
            except EOFError:
                self.terminal.end()
                break
            except UnicodeDecodeError as error:
                self.terminal.note(f"That line is not UTF-8 text ({error.reason}).")
            except KeyboardInterrupt:
                self.terminal.end()
                if interrupted and not self.terminal.typed().strip():
                    return INTERRUPTED
                interrupted = True
                self.terminal.note("Ctrl-C again leaves; so does Ctrl-D.")
        return 0

    def _handle(self, text: str) -> bool:
        """Handle one line; return whether it was interrupted."""
        try:
            if text in ("exit", "quit"):
                self.quit("")
            elif text.startswith("/") and not text.startswith("//"):
                self._command(text)
            else:
                self._reply(text.removeprefix("/"))
            if self._keeper is not None:
                self._keeper.keep(self.conversation)
        except BrokenPipeError:
            raise
        except Exception as error:  # a reply, or a command, is given up; the conversation goes on as it was
            self.terminal.note(f"error: {cut(str(error), 1000) or type(error).__name__}")
        except KeyboardInterrupt:
            self.terminal.end()
            self.terminal.note("Cancelled; your line was taken back. Ctrl-C again leaves.")
            return True
        return False

    def _reply(self, text: str) -> None:
        terminal, pieces = self.terminal, self.conversation.stream(text)
        if self._as_json:
            deque(pieces, maxlen=0)
        else:
            terminal.begin("model")
            try:
                for piece in pieces:
                    terminal.write(piece)
            except Exception:
                terminal.end()
                raise
            terminal.end()
        reply = self.conversation.last_reply
        assert reply is not None  # a stream that ends sets it
        if self._as_json:
            terminal.write(json_out(reply_object(text, reply)) + "\n")
        if reply.source.cut_tokens:
            terminal.note(f"The first {reply.source.cut_tokens} tokens of your line did not fit and were left out.")
        if reply.source.dropped_turns > self._forgotten == 0:
            terminal.note("The conversation is longer than the model can see: it forgets the earliest turns.")
        self._forgotten = reply.source.dropped_turns

    def _command(self, text: str) -> None:
        name, _, rest = text[1:].partition(" ")
        if name not in COMMANDS:
            raise ValueError(f"there is no command /{name}; /help lists them, and //{name} says it")
        COMMANDS[name].run(self, rest.strip())

    def show_help(self, rest: str) -> None:
        for command in dict.fromkeys(COMMANDS.values()):
            self.terminal.note(f"{command.usage:<18} {command.help}")
        self.terminal.note(f"{'//text':<18} say a text that begins with /")

    def persona(self, rest: str) -> None:
        if rest == "-":
            self.conversation.persona = ()
        elif rest:
            self.conversation.persona = (*self.conversation.persona, rest)
        self.terminal.note("\n".join(self.conversation.persona) or "There is no persona.")

    def undo(self, rest: str) -> None:
        """Take back the last exchange, in the database too."""
        for turn in self.conversation.undo():
            self.terminal.note(f"taken back: {' '.join(turn.text.split())}")

    def reset(self, rest: str) -> None:
        self.conversation.reset()
        self._begin_another()
        self.terminal.note("Everything that was said is forgotten; the persona stays.")

    def save(self, rest: str) -> None:
        if not rest:
            raise ValueError("say where: /save FILE")
        rest = os.path.expanduser(rest)
        self.conversation.save(rest)
        self.terminal.note(f"saved {len(self.conversation.turns)} turns to {rest}")

    def load(self, rest: str) -> None:
        if not rest:
            raise ValueError("say which: /load FILE")
        self.conversation.load(os.path.expanduser(rest))
        self._begin_another()
        self._show_turns("loaded")

    def talks(self, rest: str) -> None:
        self.terminal.note("\n".join(self._kept().lines()) or "There is no conversation yet.")

    def resume(self, rest: str) -> None:
        if not rest:
            raise ValueError("say which: /resume ID, as /talks shows it, or /resume last")
        self._kept().resume(self.conversation, rest)
        self._show_turns("resumed")

    def _begin_another(self) -> None:
        if self._keeper is not None:  # the database keeps the one before as it was
            self._keeper.leave()

    def _kept(self) -> Keeper:
        if self._keeper is None:
            raise ValueError("there is no database: start with --db FILE")
        return self._keeper

    def _show_turns(self, how: str) -> None:
        self.terminal.note(f"{how} {len(self.conversation.turns)} turns")
        for turn in self.conversation.turns:
            self.terminal.note(f"{'you' if turn.speaker == 'user' else turn.speaker}> {' '.join(turn.text.split())}")

    def beams(self, rest: str) -> None:
        if rest:
            if not (rest.isascii() and rest.isdigit() and int(rest)):
                raise ValueError(f"/beams takes a number of 1 or more, not {shown(rest)}")
            self.conversation.configure(num_beams=int(rest), do_sample=False)
        plan = self.conversation.resolved_settings().plan
        self.terminal.note(f"{plan.num_beams} beams: {plan.search}")

    def why(self, rest: str) -> None:
        reply = self.conversation.last_reply
        if reply is None:
            raise ValueError("there is no reply to explain yet")
        for rank, each in enumerate(reply.n_best, start=1):
            score = "        " if each.score is None else f"{each.score:8.4f}"
            self.terminal.note(f"{rank:3} {score}  {' '.join(each.text.split())}")
        if len(reply.n_best) == 1:
            self.terminal.note("This search keeps no runners-up; /beams 10 does.")

    def quit(self, rest: str) -> None:
        self._leaving = True


COMMANDS = {
    "help": Command("/help", "this list", Session.show_help),
    "persona": Command("/persona LINE", "a line for the model to speak by; alone: show; with -: none", Session.persona),
    "undo": Command("/undo", "take back the last exchange", Session.undo),
    "reset": Command("/reset", "forget what was said", Session.reset),
    "save": Command("/save FILE", "write the conversation to a file", Session.save),
    "load": Command("/load FILE", "go on with a conversation that was saved", Session.load),
    "talks": Command("/talks", "the conversations that --db keeps", Session.talks),
    "resume": Command("/resume ID", "go on with one of them", Session.resume),
    "beams": Command("/beams N", "search with N beams; alone: show how many", Session.beams),
    "why": Command("/why", "the runner-up replies of the last search, with scores", Session.why),
    "quit": Command("/quit", "leave", Session.quit),
    "exit": Command("/exit", "leave; so does exit without a slash", Session.quit),
    "bye": Command("/bye", "leave", Session.quit),
}
