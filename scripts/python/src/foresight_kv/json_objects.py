"""JSON objects from a stream: on lines, one behind another, or in one list; a part of the text in memory at a time."""

import codecs
import json
import re

from .errors import ForesightError

BUFFER_BYTES = 1 << 20
MOST_SIGNS = 64 << 20  # of one row, as the program reads them
BLANKS = re.compile(r"[ \t\r\n]*")


class JsonObjects:
    """The objects of `stream` (bytes, UTF-8). Faults are ForesightErrors that name `file` and the row, counted from 1."""

    def __init__(self, stream, file):
        self._stream, self._file = stream, file
        self._decode_bytes = codecs.getincrementaldecoder("utf-8")().decode
        self._text, self._at, self._ended, self._rows = "", 0, False, 0
        self._decoder = json.JSONDecoder()

    def read(self):
        """Yields each object as a dict."""
        if self._next_sign() == "\ufeff":
            self._at += 1
        in_list = self._next_sign() == "["
        if in_list:
            self._at += 1
        while True:
            sign = self._next_sign()
            if in_list and self._rows and sign == ",":
                self._at += 1
                sign = self._next_sign()
            elif in_list and self._rows and sign not in ("]", ""):
                self._fail(f"expected ',' or ']' before it, found '{_shown(sign)}'")
            if sign == "" and in_list:
                self._fail("expected it or ']' in front of the end of the list: the file is cut; take another copy")
            if sign == "" or (in_list and sign == "]"):
                return
            if sign != "{":
                self._fail(f"expected a JSON object, found what begins with '{_shown(sign)}'")
            value = self._object()
            self._rows += 1
            yield value

    def _fail(self, problem):
        raise ForesightError(f"{self._file}: row {self._rows + 1}: {problem}")

    def _next_sign(self):
        """Steps over blanks; the sign behind them, empty at the end of the stream."""
        while True:
            self._at = BLANKS.match(self._text, self._at).end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on(1):
                return ""

    def _object(self):
        while True:
            try:
                value, self._at = self._decoder.raw_decode(self._text, self._at)
                return value
            except json.JSONDecodeError as fault:
                held = len(self._text) - self._at
                if held > MOST_SIGNS:
                    self._fail(f"longer than {MOST_SIGNS >> 20} MiB, or not JSON: {fault.msg}")
                # The fault may be the end of what has been read; twice as much each time, so that a long row is quick.
                cut = fault.pos >= len(self._text) - 16 or fault.msg.startswith("Unterminated string")
                sign = fault.pos - self._at + 1
                if not cut or not self._read_on(2 * held):
                    self._fail(f"not JSON: {fault.msg} (sign {sign} of the row)")
            except RecursionError:
                self._fail("not JSON that can be read: it is nested too deeply")

    def _read_on(self, wanted):
        """Reads until `wanted` signs are held that are not used up, or to the end; whether there were any more."""
        parts = [self._text[self._at :]]
        before = held = len(parts[0])
        while held <= wanted and not self._ended:
            data = self._stream.read(BUFFER_BYTES)
            self._ended = not data
            try:
                parts.append(self._decode_bytes(data, final=self._ended))
            except UnicodeDecodeError as fault:
                raise ForesightError(f"{self._file}: behind row {self._rows}: not UTF-8: {fault.reason}") from fault
            held += len(parts[-1])
        self._text, self._at = "".join(parts), 0
        return held > before


def _shown(sign):
    return sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii")
