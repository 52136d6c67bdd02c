"""ADT to FHIR, with everything carried, against hl7apy only parsing the same messages."""

import logging
import time
from collections import deque
from itertools import compress

from figure import alternate, report, skip
from messages import adt


def _apart(raw: bytes) -> str:
    """hl7apy wants text and carriage returns."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    return text.replace("\r\n", "\r").replace("\n", "\r")


def main() -> None:
    from hl7apy.parser import parse_message

    try:
        from icops_fhir.mappers.v2.message import decode
    except ImportError as error:
        return skip("ADT to FHIR with carry", str(error))

    logging.disable(logging.CRITICAL)

    def parses(text: str) -> bool:
        try:
            parse_message(text)
        except Exception:
            return False
        return True

    def translates(raw: bytes) -> bool:
        try:
            decode(raw)
        except Exception:
            return False
        return True

    messages = adt()
    texts = [_apart(raw) for raw in messages]
    both = [parses(text) and translates(raw) for raw, text in zip(messages, texts, strict=True)]
    messages, texts = list(compress(messages, both)), list(compress(texts, both))

    ours, baseline = alternate(lambda: deque(map(decode, messages), maxlen=0), lambda: deque(map(parse_message, texts), maxlen=0), runs=5, clock=time.process_time)
    count = len(messages)
    report(f"ADT to FHIR with carry ({count} messages)", count / ours, count / baseline, unit="messages/s", against="hl7apy parse alone", least=20)


if __name__ == "__main__":
    main()
