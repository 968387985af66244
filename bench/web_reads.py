"""Rows of reading and sending over HTTP, beside the same done by the gateway's own IMAP and SMTP.

Nobody else's server answers these requests, so what they are compared with is what the same store and process do for a
mail program: what the framework, JSON and the pages cost on top.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

from .client import Imap, Smtp
from .corpus import fresh
from .measure import Row, Sample, Side, each_timed, imap_of, smtp_of, web_of
from .web_client import Http, inbox_path

CONNECTIONS = 4
SENDERS = 8
LETTERS = 480
MESSAGES = 10_000
PAGE = 50
PAGES = 20
SHOWN = "UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE"
"""What a list of the API tells, but for the first words."""
SUBJECT = "budget holiday"
NOWHERE = "quicksilver"
TEXT = "\r\n".join(f"Line {number} of a short letter, as programs send them." for number in range(20))


def _over_http(side: Side, operations: int, paths: list[str]) -> Sample:
    """GET of the paths in turn, all of which were asked for once."""
    connections = [Http(web_of(side)) for _ in range(CONNECTIONS)]
    for path in paths:
        connections[0].get(path)
    turn = [paths[number % len(paths)] for number in range(operations)]
    sample = each_timed(side, CONNECTIONS, operations, lambda which, number: connections[which].get(turn[number]))
    for connection in connections:
        connection.close()
    return sample


def _over_imap(side: Side, operations: int, commands: list[list[str]]) -> Sample:
    """Each operation is one or several commands."""
    connections = [Imap(imap_of(side)) for _ in range(CONNECTIONS)]
    for connection in connections:
        connection.command("SELECT INBOX")
    for command in commands:
        for each in command:
            connections[0].command(each)

    def work(connection: int, number: int) -> None:
        for each in commands[number % len(commands)]:
            connections[connection].command(each)

    sample = each_timed(side, CONNECTIONS, operations, work)
    for connection in connections:
        connection.logout()
    return sample


def pages(side: Side) -> tuple[list[str], list[str]]:
    """(paths of the first PAGES pages of INBOX, paths of all their messages)."""
    connection = Http(web_of(side))
    start = f"{connection.inbox}/messages?mailbox=INBOX&limit={PAGE}"
    path, lists, messages = start, [], []
    for _ in range(PAGES):
        page = connection.json(path)
        lists.append(path)
        messages += [f"{connection.inbox}/messages/{message['id']}" for message in page["items"]]
        path = f"{start}&cursor={quote(page['next'])}"
    connection.close()
    return lists, messages


def list_page(side: Side) -> Sample:
    """Page after page of the newest 1,000."""
    if side.web is not None:
        return _over_http(side, 400, pages(side)[0])
    ends = range(MESSAGES, MESSAGES - PAGES * PAGE, -PAGE)
    return _over_imap(side, 400, [[f"FETCH {end - PAGE + 1}:{end} ({SHOWN})"] for end in ends])


def one_message(side: Side) -> Sample:
    """With its text and all its fields; over IMAP all its octets."""
    if side.web is not None:
        return _over_http(side, 1000, pages(side)[1])
    numbers = range(MESSAGES, MESSAGES - PAGES * PAGE, -1)
    return _over_imap(side, 1000, [[f"FETCH {number} ({SHOWN} BODY.PEEK[])"] for number in numbers])


def search_subject(side: Side) -> Sample:
    """The newest 50 of those found; over IMAP SEARCH, and FETCH of the last 50 that it named."""
    if side.web is not None:
        return _over_http(side, 100, [f"{inbox_path(web_of(side))}/messages?limit={PAGE}&subject={quote(SUBJECT)}"])
    command = f'SEARCH SUBJECT "{SUBJECT}"'
    connection = Imap(imap_of(side))
    connection.command("SELECT INBOX")
    connection.send(command)
    found = re.findall(r"\d+", connection.wire.line().decode())[-PAGE:]
    connection.wire.close()
    return _over_imap(side, 100, [[command, f"FETCH {','.join(found)} ({SHOWN})"]])


def search_nowhere(side: Side) -> Sample:
    """Texts of all messages are looked through."""
    if side.web is not None:
        return _over_http(side, 16, [f"{inbox_path(web_of(side))}/messages?mailbox=INBOX&text={NOWHERE}"])
    return _over_imap(side, 16, [[f"SEARCH TEXT {NOWHERE}"]])


def send_small(side: Side) -> Sample:
    """One recipient elsewhere, text of 1 KB, into the queue and Sent, durably."""
    if side.web is not None:
        connections = [Http(web_of(side)) for _ in range(SENDERS)]
        path = f"{connections[0].inbox}/send"
        document = {"to": [side.recipient.decode()], "subject": "A short letter", "text": TEXT}
        connections[0].post(path, document)
        sample = each_timed(side, SENDERS, LETTERS, lambda which, _: connections[which].post(path, document))
        for connection in connections:
            connection.close()
        return sample
    programs = [Smtp(smtp_of(side)) for _ in range(SENDERS)]
    mail = [fresh(_letter(side)) for _ in range(LETTERS)]
    programs[0].submit(side.sender, side.recipient, fresh(_letter(side)))
    sample = each_timed(
        side, SENDERS, LETTERS, lambda which, number: programs[which].submit(side.sender, side.recipient, mail[number])
    )
    for program in programs:
        program.quit()
    return sample


def _letter(side: Side) -> bytes:
    return (
        b"From: " + side.sender + b"\r\nTo: " + side.recipient + b"\r\nSubject: A short letter\r\n"
        b"Date: Fri, 21 Nov 2025 10:00:00 +0000\r\nMessage-ID: <letter@example.org>\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n" + TEXT.encode() + b"\r\n"
    )


ROWS: Iterable[Row] = (
    Row("HTTP list of 50 of 10,000", "/s", True, list_page, "http"),
    Row("HTTP one message with its text", "/s", True, one_message, "http"),
    Row("HTTP search of 10,000, subject, 50 found", "/s", True, search_subject, "http"),
    Row("HTTP search of 10,000, a word that is nowhere", "/s", True, search_nowhere, "http"),
    Row("HTTP send, 1 KB, 8 connections, durable", "/s", True, send_small, "http"),
)
