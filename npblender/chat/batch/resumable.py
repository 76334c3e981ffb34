"""An output file of a run that may be killed: no finished record is lost or written twice.

Records are written to the output in the order of the input, one JSON object a line. Records that are finished out of
order are kept meanwhile in a file beside it, OUTPUT.run, whose first line is the run's fingerprint. After a kill at any
moment each file holds whole lines and perhaps the beginning of one, which is removed. Opened again, the two say what is
left to do. Every record, waiting or written, is compared with the input first. A loss of power is not covered.

The output is locked while a run writes to it. A file of any other origin, whatever its name, is refused and kept.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from npblender.chat.batch.requests import ADDED_FIELDS, BadLine, Request
from npblender.common.locking import lock
from npblender.common.printable import cut, json_line, shown_json
from npblender.common.replacing import replacing

Record = dict[str, Any]

_FINGERPRINT = "fingerprint"  # the key of the fingerprint in OUTPUT.run


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
        self._unchecked: set[int] = set()  # lines of waiting records that were not yet compared with the input
        fingerprint = json.loads(json.dumps(dict(fingerprint)))
        try:
            self._output, is_new = _open_locked(self.path)
        except OSError as error:
            raise ValueError(f"{self.path} cannot be written to: {error}") from error
        try:
            self._continue(fingerprint, overwrite)
        except BaseException as error:
            if is_new:  # and ours alone, since it is locked
                with contextlib.suppress(OSError):
                    self.path.unlink()
            self.close()
            if isinstance(error, OSError):
                raise ValueError(f"{self.path} cannot be written to: {error}") from error
            raise

    def _continue(self, fingerprint: Mapping[str, Any], overwrite: bool) -> None:
        """Go on with what is there. Until everything was found to be a run's, nothing is changed."""
        begun = None
        if os.path.lexists(self.beside):
            begun = _first_record(self.beside)
            if begun is None or not isinstance(begun.get(_FINGERPRINT), Mapping):
                raise ValueError(
                    f"{self.beside} is not what a run leaves beside its output, which would be written there: "
                    f"move it away, or name another output"
                )
        if begun is not None and not overwrite:
            self._compare(begun[_FINGERPRINT], fingerprint)
        else:
            if overwrite:
                self._output.truncate(0)
            elif _first_record(self.path) is None and self.path.stat().st_size:
                raise ValueError(
                    f"{self.path} is there and no run has written it; name another output, or --overwrite it"
                )
            self.fingerprint_is_lost = self.path.stat().st_size > 0
            with replacing(self.beside) as unfinished:
                unfinished.write_bytes(_as_lines([{_FINGERPRINT: fingerprint}]))
        self._beside = _open(self.beside)
        self.done = self._done_before = _keep_whole_lines(self._output)
        _keep_whole_lines(self._beside)
        with self.beside.open("rb") as kept:
            self._head = len(kept.readline())
            for line in kept:
                record = _parse(line, self.beside)
                if record["line"] > self.done:
                    self.known[record["line"]] = record
        self._unchecked = set(self.known)
        self._checking = self.path.open("rb")

    def _compare(self, before: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> None:
        for name in sorted({*before, *fingerprint}):
            was, now = before.get(name), fingerprint.get(name)
            if was != now:
                raise ValueError(
                    f"{self.path} was begun with {cut(name)} {shown_json(was)}, and now it is {shown_json(now)}: "
                    f"run as before, name another output, or begin anew (--overwrite)"
                )

    def check(self, line: Request | BadLine) -> None:
        """Compare a line of the input with its record, written or waiting; lines come in order, from the first.

        Raises:
            ValueError: they differ, so the output belongs to another input.
        """
        assert line.number == self._checked + 1, "lines are checked in order"
        self._checked = line.number
        if line.number <= self._done_before:
            record = _parse(self._checking.readline(), self.path)
            self.errors += "error" in record
        elif line.number in self._unchecked:
            self._unchecked.remove(line.number)
            record = self.known[line.number]
        else:
            return
        same = {name: value for name, value in record.items() if name not in ADDED_FIELDS}
        if record.get("line") != line.number or same != json.loads(json.dumps(dict(line.carried))):
            raise ValueError(
                f"{self.path} holds replies to another input: they differ in line {line.number}. Name another output, "
                f"or begin anew (--overwrite)"
            )

    def check_end(self) -> None:
        """Check that the input had at least as many lines as the output.

        Raises:
            ValueError: it had fewer.
        """
        begun = max([self._done_before, *self._unchecked])
        if self._checked < begun:
            raise ValueError(
                f"{self.path} was begun with an input of {begun} lines or more, and now it has "
                f"{self._checked}: it belongs to another input. Name another output, or begin anew (--overwrite)"
            )

    def keep(self, records: Sequence[Record]) -> None:
        """Keep finished records until it is their turn."""
        waiting = [record for record in records if record["line"] > self.done]
        self._append(self._beside, waiting)
        self.known.update((record["line"], record) for record in waiting)

    def write(self, record: Record) -> None:
        """Write the next record of the output."""
        assert record["line"] == self.done + 1, "records are written in order"
        self._append(self._output, [record])
        self.done += 1
        self.known.pop(record["line"], None)
        if not self.known and self._beside.tell() > self._head:  # the kept records are all in the output
            self._beside.seek(self._head)
            self._beside.truncate()

    def _append(self, file: BinaryIO, records: Iterable[Mapping[str, Any]]) -> None:
        """Append records, as one piece."""
        data = memoryview(_as_lines(records))
        try:
            while data:
                data = data[file.write(data) :]
        except OSError as error:  # such as a full disk
            raise ValueError(
                f"{self.path} cannot be written to: {error}. What is done is kept; the same command goes on from there"
            ) from error

    def close(self) -> None:
        """Close both files."""
        for file in ("_beside", "_output", "_checking"):
            if file in self.__dict__:
                getattr(self, file).close()

    def __enter__(self) -> ResumableOutput:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open(path: Path) -> BinaryIO:
    """Open a file to read and write, unbuffered; make it if it does not exist."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b", buffering=0)


def _open_locked(path: Path) -> tuple[BinaryIO, bool]:
    """Open an output that no other run has open, and say whether it was made here.

    A run that ends in an error removes the output that it made, perhaps between our opening and locking it. So a lock
    counts only if the place still has the file that was locked.
    """
    while True:
        if path.is_symlink() and not path.exists():
            raise ValueError(f"{path} is a link to nothing; name the output itself")
        is_new = not os.path.lexists(path)
        file = _open(path)
        try:
            if not lock(file):
                raise ValueError(f"another run is writing to {path}; wait for it, or name another output")
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return file, is_new and not os.fstat(file.fileno()).st_size
        except BaseException:
            file.close()
            raise
        file.close()


def _first_record(path: Path) -> Record | None:
    """The record of a file's first line; None if there is no whole line."""
    with path.open("rb") as file:
        line = file.readline()
    return _parse(line, path, _FINGERPRINT) if line.endswith(b"\n") else None


def _keep_whole_lines(file: BinaryIO) -> int:
    """Remove everything after the last line break and go to the end; return how many lines there are."""
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


def _parse(line: bytes, path: Path, key: str = "line") -> Record:
    """One record; the first one beside an output has a fingerprint in place of its line."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} holds a line that is not JSON: {cut(str(error))}. Name another output") from error
    if not isinstance(record, dict) or not (key == _FINGERPRINT in record or isinstance(record.get("line"), int)):
        raise ValueError(f"{path} holds a line that this program did not write. Name another output")
    return record


def _as_lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json_line(record) + "\n" for record in records).encode("utf-8")
