"""THREAD's algorithms (RFC 5256 3; REFS: draft-ietf-morg-inthread). Pure; linear but for sorting; no recursion."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.wire.search import Algorithm
from gateway.wire.search_results import CLOSE, OPEN

from .pieces import in_order


@dataclass(frozen=True, slots=True)
class Message:
    """What threading looks at. `date`: when it was sent; `links`: hash of its id, or 0, then its ancestors'."""

    uid: int
    date: int
    subject: bytes
    reply: bool
    links: Sequence[int]


class _Node:
    """A message, or with `message` None a dummy: a message that others refer to and that is not there."""

    __slots__ = ("children", "date", "followers", "message", "order", "parent")

    def __init__(self, message: Message | None = None, order: int = 0) -> None:
        self.message = message
        self.order = order  # in the mailbox
        self.parent: _Node | None = None
        self.followers = 0  # how many have it for their parent
        self.children: list[_Node] = []
        self.date = 0 if message is None else message.date

    def hang_below(self, parent: _Node | None) -> None:
        if self.parent is not None:
            self.parent.followers -= 1
        self.parent = parent
        if parent is not None:
            parent.followers += 1


def threads(algorithm: Algorithm, messages: Sequence[Message]) -> array[int]:
    """UIDs with OPEN and CLOSE in the order of THREAD's parentheses. `messages` in mailbox order."""
    if algorithm is Algorithm.ORDEREDSUBJECT:
        return _tokens(_by_subject(messages))
    roots = _linked(messages)
    if algorithm is Algorithm.REFS:
        for node in _bottom_up(roots):
            node.children = in_order(node.children, _age)
            if node.message is None:
                node.date = node.children[0].date
                node.order = node.children[0].order
        newest: dict[_Node, tuple[int, int]] = {}
        for node in _bottom_up(roots):
            newest[node] = max([(node.date, node.order), *(newest[child] for child in node.children)])
        return _tokens(in_order(roots, newest.__getitem__))
    _date_dummies(roots)
    roots = _gathered(in_order(roots, _age))
    for node in _bottom_up(roots):
        node.children = in_order(node.children, _age)
        if node.message is None:
            node.date, node.order = node.children[0].date, node.children[0].order
    return _tokens(in_order(roots, _age))


def _age(node: _Node) -> tuple[int, int]:
    return node.date, node.order


def _by_subject(messages: Sequence[Message]) -> list[_Node]:
    """ORDEREDSUBJECT: threads by the date of their first message, all others its children."""
    nodes = [_Node(message, order) for order, message in enumerate(messages)]
    nodes = in_order(nodes, _age)
    first: dict[bytes, _Node] = {}
    for node in nodes:
        assert node.message is not None
        root = first.setdefault(node.message.subject, node)
        if root is not node:
            root.children.append(node)
    return list(first.values())


# REFERENCES, by the RFC's steps.


def _linked(messages: Sequence[Message]) -> list[_Node]:
    """Steps (1) to (3): the roots of trees in which dummies stand at most at the top, where they hold several."""
    table: dict[int, _Node] = {}
    nodes: list[_Node] = []
    loops = _Loops(sum(len(message.links) for message in messages))
    for order, message in enumerate(messages):
        own = message.links[0]
        node = table.get(own) if own else None
        if node is None or node.message is not None:  # no id, or one that an earlier message has
            node = _Node()
            if own and own not in table:
                table[own] = node
        node.message, node.order, node.date = message, order, message.date
        nodes.append(node)
        parent: _Node | None = None
        for link in message.links[1:]:
            ancestor = table.get(link)
            if ancestor is None:
                ancestor = table[link] = _Node()
            # (1)(A): neighbours in the list, unless the link is there already or would close a loop
            if parent is not None and ancestor.parent is None and not loops.closed_by(ancestor, parent):
                ancestor.hang_below(parent)
            parent = ancestor
        # (1)(B): the last reference is the parent, whatever a truncated list of another message said before
        if node.parent is not parent or parent is None:
            node.hang_below(None)
            if parent is not None and not loops.closed_by(node, parent):
                node.hang_below(parent)
    return _pruned(_children(nodes, table.values()))


class _Loops:
    """Answers whether a link would close a loop, with bounded work: mail is hostile, and trees can be made deep.

    Only where a message with children is hung below another are its new ancestors looked through. Once that has taken
    far more steps than real mail does, such links are refused.
    """

    def __init__(self, links: int) -> None:
        self._left = 100_000 + 50 * links

    def closed_by(self, node: _Node, parent: _Node) -> bool:
        """Whether `parent` is `node` or stands below it."""
        if not node.followers:
            return node is parent
        above: _Node | None = parent
        while above is not None:
            self._left -= 1
            if above is node or self._left < 0:
                return True
            above = above.parent
        return False


def _children(nodes: Iterable[_Node], others: Iterable[_Node]) -> list[_Node]:
    """Step (2): from parents to lists of children; what has no parent."""
    roots = []
    for node in dict.fromkeys((*nodes, *others)):
        if node.parent is None:
            roots.append(node)
        else:
            node.parent.children.append(node)
    return roots


def _pruned(roots: list[_Node]) -> list[_Node]:
    """Step (3): dummies go, their children come up; at the top only an only child does."""
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if any(child.message is None for child in node.children):
            node.children = _messages_below(node)
        waiting += node.children
    found = []
    for root in roots:
        if root.message is not None or len(root.children) > 1:
            found.append(root)
        else:
            found += root.children
    return found


def _messages_below(node: _Node) -> list[_Node]:
    """The next messages below `node`, through dummies; each of these is passed once in all."""
    found: list[_Node] = []
    waiting = node.children[::-1]
    while waiting:
        child = waiting.pop()
        if child.message is None:
            waiting += reversed(child.children)
        else:
            found.append(child)
    return found


def _date_dummies(roots: list[_Node]) -> None:
    """Step (4): a dummy's children are sorted by date, and the first one's counts for it."""
    for root in roots:
        if root.message is None:
            root.children = in_order(root.children, _age)
            root.date, root.order = root.children[0].date, root.children[0].order


def _head(node: _Node) -> Message:
    """The message whose subject is its thread's."""
    message = node.message or node.children[0].message
    assert message is not None  # no dummy stands below another
    return message


def _gathered(roots: list[_Node]) -> list[_Node]:
    """Step (5): threads of one subject become one."""
    table: dict[bytes, _Node] = {}
    for root in roots:
        subject = _head(root).subject
        if not subject:
            continue
        held = table.get(subject)
        if held is None or (
            held.message is not None
            and (root.message is None or (held.message.reply and not root.message.reply))
        ):
            table[subject] = root
    found: dict[_Node, None] = dict.fromkeys(roots)
    for root in roots:
        subject = _head(root).subject
        held = table.get(subject) if subject else None
        if held is None or held is root:
            continue
        if held.message is None and root.message is None:
            held.children += root.children
            del found[root]
        elif held.message is None or (root.message is not None and root.message.reply and not held.message.reply):
            held.children.append(root)
            del found[root]
        else:
            both = _Node()
            both.children = [held, root]
            both.date, both.order = min(_age(held), _age(root))
            found[both] = None
            del found[held], found[root]
            table[subject] = both
    return list(found)


def _bottom_up(roots: Iterable[_Node]) -> list[_Node]:
    """All nodes, each after its children."""
    waiting = list(roots)
    seen: list[_Node] = []
    while waiting:
        node = waiting.pop()
        seen.append(node)
        waiting += node.children
    seen.reverse()
    return seen


def _tokens(roots: Iterable[_Node]) -> array[int]:
    """RFC 5256 5 `thread-data`: an only child stands behind its parent, several nest."""
    out: array[int] = array("q")
    for root in roots:
        waiting: list[_Node | int] = [CLOSE, root, OPEN]
        while waiting:
            item = waiting.pop()
            if isinstance(item, int):
                out.append(item)
                continue
            if item.message is not None:
                out.append(item.message.uid)
            if len(item.children) == 1:
                waiting.append(item.children[0])
            else:
                for child in reversed(item.children):
                    waiting += (CLOSE, child, OPEN)
    return out
