"""Personal data in a text, found by what can be checked and not by looks alone.

    "write to li@example.org"  ->  personal(text)  ->  [Found("EMAIL", 9, 23)]
    "write to li@example.org"  ->  mask(text)      ->  "write to [EMAIL]", {"EMAIL": 1}

Made for few false alarms: order numbers, years, prices and versions stay.  Names and addresses are not found.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

KINDS = {
    "EMAIL": "e-mail addresses",
    "ID": "ID numbers",
    "CARD": "bank card numbers",
    "PHONE": "phone numbers",
    "IP": "IP addresses",
}


class Found(NamedTuple):
    """One place of a text: `kind` is a key of `KINDS`."""

    kind: str
    start: int
    end: int


# A quick look first: most texts hold neither an @ nor seven digits near each other nor three dots.
_DIGITS = re.compile(r"[0-9](?:[-. ()]{0,2}[0-9]){6}")
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9_.+%-])[A-Za-z0-9](?:[A-Za-z0-9_.+%-]{0,62}[A-Za-z0-9_+%-])?"
    r"@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}(?![A-Za-z0-9])"
)
_RESIDENT = re.compile(r"(?<![0-9A-Za-z])[1-9][0-9]{16}[0-9Xx](?![0-9A-Za-z])")
_SOCIAL = re.compile(
    r"(?<![0-9A-Za-z-])(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![0-9A-Za-z-])"
)
_CARD = re.compile(
    r"(?<![0-9A-Za-z.-])[2-6](?:[0-9]{12,18}|[0-9]{3}(?:[ -][0-9]{4}){3}(?:[ -]?[0-9]{3})?)(?![0-9A-Za-z-])"
)
_PHONE = re.compile(
    r"(?<![0-9A-Za-z.,+-])(?:"
    r"(?:\+?86[- ]?)?1[3-9][0-9](?:[0-9]{8}|-[0-9]{4}-[0-9]{4}| [0-9]{4} [0-9]{4})"  # Chinese mobile
    r"|0[1-9][0-9]{1,2}-[2-9][0-9]{6,7}"  # Chinese landline
    r"|\+[1-9][0-9]{0,2}(?:[ .-]?\(?[0-9]{1,4}\)?){2,5}"  # international, E.164
    r"|(?:\+?1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[.-])[2-9][0-9]{2}[.-][0-9]{4}"  # North America
    r")(?![0-9A-Za-z]|[.,-][0-9])"
)
_IP = re.compile(r"(?<![\w.-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w-]|\.[0-9])")
# First digits and lengths of the large networks (ISO/IEC 7812 issuer ranges): Visa, Mastercard, Amex, UnionPay,
# Discover, JCB, Diners.
_ISSUER = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})|5[1-5][0-9]{14}|2[2-7][0-9]{14}|3[47][0-9]{13}|62[0-9]{14,17}"
    r"|6(?:011|5[0-9]{2})[0-9]{12}|35[0-9]{14}|3[068][0-9]{12}"
)


def personal(text: str) -> list[Found]:
    """E-mail addresses, ID, card and phone numbers and IP addresses of `text`, in order, none over another."""
    found: list[Found] = []
    for kind, start, end in _all(text):
        if all(end <= other.start or start >= other.end for other in found):
            found.append(Found(kind, start, end))
    return sorted(found, key=lambda one: one.start)


def mask(text: str) -> tuple[str, Counter[str]]:
    """The text with `[EMAIL]`, `[PHONE]` ... in their places, and how many of each kind there were."""
    counts: Counter[str] = Counter()
    # A second look: what stood next to something masked may have a clear edge only now.
    while found := personal(text):
        for kind, start, end in reversed(found):
            text = f"{text[:start]}[{kind}]{text[end:]}"
            counts[kind] += 1
    return text, counts


def _all(text: str) -> Iterator[tuple[str, int, int]]:
    if "@" in text:
        yield from _matches("EMAIL", _EMAIL, text, lambda found: ".." not in found)
    if _DIGITS.search(text):
        yield from _matches("ID", _RESIDENT, text, resident_id)
        yield from _matches("ID", _SOCIAL, text, lambda found: True)
        yield from _matches("CARD", _CARD, text, card)
        yield from _matches("PHONE", _PHONE, text, _phone)
    if text.count(".") >= 3:
        yield from _matches("IP", _IP, text, _address)


def _matches(
    kind: str, pattern: re.Pattern[str], text: str, holds: Callable[[str], bool]
) -> Iterator[tuple[str, int, int]]:
    for match in pattern.finditer(text):
        if holds(match[0]):
            yield kind, match.start(), match.end()


def resident_id(number: str) -> bool:
    """Is this a Chinese resident identity number (GB 11643-1999): a date of birth, and ISO 7064 MOD 11-2?"""
    try:
        born = datetime.date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(number[:17]))
    return born.year >= 1880 and "10X98765432"[total % 11] == number[17].upper()


def card(number: str) -> bool:
    """Is this a bank card number: a known issuer, and Luhn's check digit (ISO/IEC 7812-1)?"""
    digits = [int(char) for char in number if char.isdigit()]
    if not _ISSUER.fullmatch("".join(map(str, digits))):
        return False
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[::-2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1


def _phone(number: str) -> bool:
    # E.164 allows 15 digits; below 8 it is a short number that belongs to nobody.
    return 8 <= sum(char.isdigit() for char in number) <= 15


def _address(number: str) -> bool:
    try:
        address = ipaddress.IPv4Address(number)
    except ValueError:
        return False
    # 1.2.3.4 is more often a version or a section than a host; 0.0.0.0 and the like belong to nobody.
    return not (address.is_loopback or address.is_unspecified or address.is_multicast) and len(number) > 7
