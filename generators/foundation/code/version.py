"""The version of the code that made a result, as a digest of each part, and its comparison with the installed code.

A part is a module, with its digest, or a name that another package provides, with the class that its entry point leads
to: {"lab.model.layers": "3f2a.../90c1...", "objective previous_token": "previous_token:PreviousToken"}. If two
versions agree in every part that both have, the same code may have made both results.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256

from generators.foundation.code.source import find_source
from generators.foundation.code.syntax import DIGITS
from generators.foundation.outside import AFTER_REGISTRATION, GROUP_PREFIX, points_of

CodeVersion = Mapping[str, str]
"""Part -> its digest."""
PARTS_LISTED = 4


def module_versions(modules: Iterable[str]) -> dict[str, str]:
    """Returns module -> digest of its installed code; modules without a file are left out."""
    sources = {name: find_source(name) for name in modules}
    return {name: source.digest for name, source in sources.items() if source is not None}


def provided_part(group: str, name: str) -> str:
    """Returns the part for a name that another package provides through an entry point."""
    return f"{group.removeprefix(GROUP_PREFIX)} {name}"


def changed_parts(code: CodeVersion) -> list[str]:
    """Returns the parts whose installed code differs from the recorded code, in alphabetical order."""
    return sorted(part for part, digest in code.items() if _is_changed(part, digest))


def digests_by_part(codes: Iterable[CodeVersion]) -> dict[str, list[str]]:
    """Returns part -> its different digests in some versions; contents that differ in comments alone count as one."""
    digests: dict[str, set[str]] = {}
    for code in codes:
        for part, digest in code.items():
            digests.setdefault(part, set()).add(_meaning(digest))
    return {part: sorted(different) for part, different in sorted(digests.items())}


def conflicting_parts(codes: Iterable[CodeVersion]) -> list[str]:
    """Returns the parts that are not the same in all versions that have them, in alphabetical order."""
    return [part for part, digests in digests_by_part(codes).items() if len(digests) > 1]


def version_digest(code: CodeVersion) -> str:
    """Returns one digest of a whole version. Versions that differ in comments alone have the same."""
    meanings = {part: _meaning(digest) for part, digest in code.items()}
    return sha256(json.dumps(meanings, sort_keys=True).encode()).hexdigest()[:DIGITS]


def parts_text(parts: list[str]) -> str:
    """Returns the first few parts as text."""
    more = len(parts) - PARTS_LISTED
    return ", ".join(parts[:PARTS_LISTED]) + (f" and {more} more" if more > 0 else "")


def _meaning(digest: str) -> str:
    """Returns the digest without that of the content, which comments change."""
    return digest.rpartition("/")[2]


@cache
def _is_changed(part: str, digest: str) -> bool:
    plural, space, name = part.partition(" ")
    if space:
        points = points_of(f"{GROUP_PREFIX}{plural}")
        return digest not in [point.value for point in points if point.name == name]
    content, _, syntax = digest.partition("/")
    source = find_source(part)
    return source is None or (source.content_digest != content and source.syntax.digest != syntax)


AFTER_REGISTRATION.append(_is_changed.cache_clear)
