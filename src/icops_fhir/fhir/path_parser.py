"""FHIRPath text to a tree: the whole grammar of N1, by precedence climbing.

http://hl7.org/fhirpath/N1/grammar.html
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, NamedTuple

from icops_fhir.fhir.issue import FhirError, Issue


class Member(NamedTuple):
    """`of.name`; `of` is None at the start of a path."""

    of: Node | None
    name: str


class Call(NamedTuple):
    """`of.name(arguments)`."""

    of: Node | None
    name: str
    arguments: tuple[Node, ...]


class Index(NamedTuple):
    """`of[at]`."""

    of: Node
    at: Node


class Operation(NamedTuple):
    """`left operator right`; for `is` and `as` the right side is a type name (Member)."""

    operator: str
    left: Node
    right: Node


class Literal(NamedTuple):
    """A constant, or None for the empty collection."""

    value: Any


class Constant(NamedTuple):
    """`%resource`, `$this`, …"""

    name: str


Node = Member | Call | Index | Operation | Literal | Constant

_LEXER = re.compile(
    r"\s+|//[^\n]*|/\*.*?\*/"
    r"|(?P<time>@(?:T\d\d|\d{4})[0-9:.T+Z-]*)"
    r"|(?P<string>'(?:[^'\\]|\\.)*')"
    r"|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*|`(?:[^`\\]|\\.)*`)"
    r"|(?P<constant>%(?:[A-Za-z_][\w-]*|`[^`]*`|'[^']*')|\$\w+)"
    r"|(?P<symbol><=|>=|!=|!~|[-+*/&|<>=~.,()\[\]{}])",
    re.S,
)
_BINDING = {  # N1 §Operator precedence; the higher binds tighter
    "implies": 1, "or": 2, "xor": 2, "and": 3, "in": 4, "contains": 4, "=": 5, "~": 5, "!=": 5, "!~": 5,
    "<": 6, ">": 6, "<=": 6, ">=": 6, "|": 7, "is": 8, "as": 8, "+": 9, "-": 9, "&": 9, "*": 10, "/": 10, "div": 10, "mod": 10,
}  # fmt: skip
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


def refused(expression: str, what: str) -> FhirError:
    """The error of an expression that cannot be used."""
    french = f"L'expression FHIRPath {expression!r} n'est pas utilisable : {what}."
    return FhirError(Issue("error", "not-supported", f"The FHIRPath expression {expression!r} cannot be used: {what}.", rule="icops-fhirpath", french=french))


def _unquote(text: str) -> str:
    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", lambda m: chr(int(m[1], 16)) if m[1] else _ESCAPES.get(m[2], m[2]), text[1:-1])


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            found = _LEXER.match(text, at)
            if found is None:
                raise refused(text, f"unexpected {text[at]!r} at {at}")
            if found.lastgroup:
                self.tokens.append((found.lastgroup, found[0]))
            at = found.end()
        self.at = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def take(self, symbol: str = "") -> tuple[str, str]:
        token = self.peek()
        if symbol and token[1] != symbol:
            raise refused(self.text, f"expected {symbol!r} instead of {token[1] or 'the end'!r}")
        self.at += 1
        return token

    def expression(self, least: int = 0) -> Node:
        left = self.unary()
        while True:
            kind, word = self.peek()
            if kind not in ("symbol", "name") or _BINDING.get(word, -1) <= least:
                return left
            self.take()
            right = self.type_name() if word in ("is", "as") else self.expression(_BINDING[word])
            left = Operation(word, left, right)

    def unary(self) -> Node:
        if self.peek() in (("symbol", "-"), ("symbol", "+")):
            sign = self.take()[1]
            return Operation("*", Literal(-1 if sign == "-" else 1), self.unary())
        node = self.term()
        while True:
            if self.peek()[1] == "." and self.peek()[0] == "symbol":
                self.take()
                node = self.invocation(node)
            elif self.peek() == ("symbol", "["):
                self.take()
                node = Index(node, self.expression())
                self.take("]")
            else:
                return node

    def term(self) -> Node:
        kind, word = self.peek()
        if kind == "name" and word not in ("true", "false"):
            return self.invocation(None)
        self.take()
        if kind == "name":
            return Literal(word == "true")
        if kind == "string":
            return Literal(_unquote(word))
        if kind == "number":
            return Literal(Decimal(word) if "." in word else int(word))
        if kind == "time":
            return Literal(word[1:])
        if kind == "constant":
            return Constant(word.replace("`", "").replace("'", ""))
        if word == "{":
            self.take("}")
            return Literal(None)
        if word == "(":
            node = self.expression()
            self.take(")")
            return node
        raise refused(self.text, f"unexpected {word or 'end'!r}")

    def invocation(self, of: Node | None) -> Node:
        kind, word = self.take()
        if kind == "constant":
            return Constant(word)
        if kind != "name":
            raise refused(self.text, f"expected a name instead of {word or 'the end'!r}")
        if word.startswith("`"):
            word = _unquote(word)
        if self.peek() != ("symbol", "("):
            return Member(of, word)
        self.take()
        arguments: list[Node] = []
        while self.peek() != ("symbol", ")"):
            arguments.append(self.expression())
            if self.peek() == ("symbol", ","):
                self.take()
            elif self.peek() != ("symbol", ")"):
                raise refused(self.text, f"expected ')' instead of {self.peek()[1] or 'the end'!r}")
        self.take(")")
        return Call(of, word, tuple(arguments))

    def type_name(self) -> Member:
        name = self.take()[1]
        while self.peek() == ("symbol", "."):  # FHIR.Patient, System.String
            self.take()
            name = self.take()[1]
        return Member(None, name.strip("`"))


def parse(text: str) -> Node:
    """The tree of an expression; FhirError naming what it stumbled on."""
    parser = _Parser(text)
    node = parser.expression()
    if parser.peek()[0] != "end":
        raise refused(text, f"unexpected {parser.peek()[1]!r}")
    return node
