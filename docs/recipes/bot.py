"""A bot loop: many people at once, a conversation each, one model; the chat service is whatever yields messages.

printf 'ann: hi\nbob: hello\nann: do you have any pets?\n' | python docs/recipes/bot.py [FOLDER OR NAME]
"""

import asyncio
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer, Conversation

MOST_PEOPLE = 1000  # whose conversations are kept; the one that was silent longest is dropped first


class Bot:
    """Replies to people, each in a conversation of their own."""

    def __init__(self, folder: str | None = None, persona: tuple[str, ...] = ()) -> None:
        self.model = BlenderbotSmallForConditionalGeneration.from_pretrained(folder)
        self.tokenizer = BlenderbotSmallTokenizer.from_pretrained(folder, dialect=self.model.dialect)
        self.persona = persona
        self.talks: OrderedDict[str, tuple[Conversation, asyncio.Lock]] = OrderedDict()

    def talk_of(self, person: str) -> tuple[Conversation, asyncio.Lock]:
        """The person's conversation, and the lock that keeps its turns in order."""
        if person not in self.talks:
            self.talks[person] = (Conversation(self.model, self.tokenizer, persona=self.persona), asyncio.Lock())
        self.talks.move_to_end(person)
        while len(self.talks) > MOST_PEOPLE:
            self.talks.popitem(last=False)
        return self.talks[person]

    async def reply(self, person: str, text: str) -> str:
        """The reply; other people are answered meanwhile, since NumPy's products leave Python's lock free."""
        talk, turn = self.talk_of(person)
        async with turn:
            if text.strip() == "/reset":
                talk.reset()
                return "(we begin anew)"
            try:
                return str(await asyncio.to_thread(talk.reply, text))
            except ValueError as error:  # nothing but white space, or too long a persona
                return f"({error})"


async def lines() -> AsyncIterator[tuple[str, str]]:
    """Messages from standard input, `person: text`. Of a chat service it would be its client's events."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        person, _, text = line.rstrip("\n").partition(": ")
        yield person, text


async def main() -> None:
    bot, tasks = Bot(*sys.argv[1:2]), []
    async for person, text in lines():
        tasks.append(asyncio.create_task(bot.reply(person, text), name=person))
    for task in tasks:
        print(f"to {task.get_name()}: {await task}")


if __name__ == "__main__":
    asyncio.run(main())
