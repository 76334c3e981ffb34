"""An output file of a run that may be killed: no finished record is lost or written twice.

Records are written to the output in the order of the input, one JSON object a line. Records that are finished out of
order are kept meanwhile in a file beside it, OUTPUT.run, whose first line is the run's fingerprint. After a kill at any
moment each file holds whole lines and perhaps the beginning of one, which is removed. Opened again, the two say what is
left to do. A loss of power is not covered.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from npblender.chat.batch.requests import ADDED_FIELDS, BadLine, Request
from npblender.common.printable import json_line

Record = dict[str, Any]

_FINGERPRINT = "told"
"""The key of the fingerprint in OUTPUT.run."""


class ResumableOutput:
    """One output file and the file beside it, both open and locked until `close`.

    Args:
        path: the output. If it exists, the run goes on after its last whole line.
        fingerprint: the run's, as `run_fingerprint` gives it; only a run with an equal one is continued.
        overwrite: begin anew whatever there is.

    Raises:
        ValueError: the place cannot be written to, another run is writing to it, or what exists was made with another
            fingerprint or by another program.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with ResumableOutput(Path(folder) / "out.jsonl", {"seed": 1}) as output:
    ...         output.keep([{"line": 2, "reply": "b"}])  # finished first, written later
    ...     with ResumableOutput(Path(folder) / "out.jsonl", {"seed": 1}) as output:
    ...         output.done, output.known
    (0, {2: {'line': 2, 'reply': 'b'}})
    """

    def __init__(
        self, path: str | os.PathLike[str], fingerprint: Mapping[str, Any], *, overwrite: bool = False
    ) -> None:
        self.path = Path(path)
        self.beside = self.path.with_name(self.path.name + ".run")
        self.done = 0
        """How many lines the output has."""
        self.known: dict[int, Record] = {}
        """Finished records that are not written yet, by line."""
        self.fingerprint_is_lost = False
        """Whether the output exists without the file that holds its run's fingerprint, which then was not compared."""
        self.errors = 0
        """How many of the checked lines of the output report an error."""
        self._checked = 0
        fingerprint = json.loads(json.dumps(dict(fingerprint)))
        is_new = not self.beside.exists()
        try:
            self._output = _open(self.path)
            self._beside = _open(self.beside)
        except OSError as error:
            raise ValueError(f"{self.path} cannot be written to: {error}") from error
        try:
            _lock(self._beside, self.path)
            self._continue(fingerprint, overwrite)
        except BaseException:
            self.close()
            if is_new:
                self.beside.unlink()
            raise

    def _continue(self, fingerprint: Mapping[str, Any], overwrite: bool) -> None:
        if overwrite:
            self._output.truncate(0)
            self._beside.truncate(0)
        begun = _first_record(self.beside)
        if begun is not None:
            self._compare(begun, fingerprint)
        elif _first_record(self.path) is not None:
            self.fingerprint_is_lost = True
        elif self.path.stat().st_size and not self.beside.stat().st_size:
            raise ValueError(f"{self.path} is there and no run has written it; name another output, or --overwrite it")
        self.done = self._done_before = _keep_whole_lines(self._output)
        if not _keep_whole_lines(self._beside):
            _append(self._beside, [{_FINGERPRINT: fingerprint}])
        with self.beside.open("rb") as kept:
            self._head = len(kept.readline())
            for line in kept:
                record = _parse(line, self.beside)
                if record["line"] > self.done:
                    self.known[record["line"]] = record
        self._checking = self.path.open("rb")

    def _compare(self, found: Record, fingerprint: Mapping[str, Any]) -> None:
        before = found.get(_FINGERPRINT)
        if not isinstance(before, Mapping):
            raise ValueError(
                f"{self.beside} is not what a run leaves beside its output; remove it or name another output"
            )
        for name in sorted({*before, *fingerprint}):
            was, now = before.get(name), fingerprint.get(name)
            if was != now:
                raise ValueError(
                    f"{self.path} was begun with {name} {json_line(was)}, and now it is {json_line(now)}: "
                    f"run as before, name another output, or begin anew (--overwrite)"
                )

    def check(self, line: Request | BadLine) -> None:
        """Compares a line of the input with its record in the output; lines come in order, from the first.

        Raises:
            ValueError: they differ, so the output belongs to another input.
        """
        if line.number > self._done_before:
            return
        assert line.number == self._checked + 1, "lines are checked in order"
        self._checked = line.number
        record = _parse(self._checking.readline(), self.path)
        self.errors += "error" in record
        same = {name: value for name, value in record.items() if name not in ADDED_FIELDS}
        if record.get("line") != line.number or same != json.loads(json.dumps(dict(line.carried))):
            raise ValueError(
                f"{self.path} holds replies to another input: they differ in line {line.number}. Name another output, "
                f"or begin anew (--overwrite)"
            )

    def check_end(self) -> None:
        """Checks that the input had at least as many lines as the output.

        Raises:
            ValueError: it had fewer.
        """
        if self._checked < self._done_before:
            raise ValueError(
                f"{self.path} had {self._done_before} lines and the input has {self._checked}: it belongs to another "
                f"input. Name another output, or begin anew (--overwrite)"
            )

    def keep(self, records: Sequence[Record]) -> None:
        """Keeps finished records until it is their turn."""
        waiting = [record for record in records if record["line"] > self.done]
        _append(self._beside, waiting)
        self.known.update((record["line"], record) for record in waiting)

    def write(self, record: Record) -> None:
        """Writes the next record of the output."""
        assert record["line"] == self.done + 1, "records are written in order"
        _append(self._output, [record])
        self.done += 1
        self.known.pop(record["line"], None)
        if not self.known and self._beside.tell() > self._head:  # the kept records are all in the output
            self._beside.seek(self._head)
            self._beside.truncate()

    def close(self) -> None:
        """Closes both files."""
        for file in ("_beside", "_output", "_checking"):
            if file in self.__dict__:
                getattr(self, file).close()

    def __enter__(self) -> ResumableOutput:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open(path: Path) -> BinaryIO:
    """Opens a file to read and write, unbuffered; makes it if it does not exist."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b", buffering=0)


def _lock(file: BinaryIO, path: Path) -> None:
    """Refuses a second run on the same output, if the system has such locks."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ValueError(f"another run is writing to {path}; wait for it, or name another output") from error


def _first_record(path: Path) -> Record | None:
    """The record of a file's first line; None if there is no whole line."""
    with path.open("rb") as file:
        line = file.readline()
    return _parse(line, path) if line.endswith(b"\n") else None


def _keep_whole_lines(file: BinaryIO) -> int:
    """Removes everything after the last line break and goes to the end; returns how many lines there are."""
    lines, end, at = 0, 0, 0
    file.seek(0)
    while block := file.read(1 << 20):
        lines += block.count(b"\n")
        if (last := block.rfind(b"\n")) >= 0:
            end = at + last + 1
        at += len(block)
    if end < at:
        file.truncate(end)
    file.seek(end)
    return lines


def _parse(line: bytes, path: Path) -> Record:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{path} holds a line that is not JSON: {error}. Name another output") from error
    if not isinstance(record, dict) or not (_FINGERPRINT in record or isinstance(record.get("line"), int)):
        raise ValueError(f"{path} holds a line that this program did not write. Name another output")
    return record


def _append(file: BinaryIO, records: Iterable[Mapping[str, Any]]) -> None:
    """Appends records, as one piece."""
    data = memoryview("".join(json_line(record) + "\n" for record in records).encode("utf-8"))
    while data:
        data = data[file.write(data) :]
