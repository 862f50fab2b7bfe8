"""What lab report writes: a study's page; or those of several, or of a collection, and the index of their claims."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from reports.dashboards.board import StudySource
from reports.frames.formatting import plural
from reports.pages.index import INDEX, Chapter, Entry, Index, page_name, write_index, write_page
from studies.declared.collection import is_collection, load_collection
from studies.declared.study import Study
from studies.judging.judgement import sentence
from studies.ledger.collection_members import expand_collections, run_command_line
from studies.ledger.declared_study import find_study
from studies.ledger.folder import StudyFolder


def stored_studies(home: Path, names: list[str] | None, scale: str | None) -> list[Study]:
    """The studies of these names, or of these collections, as they last ran; or every one that did.

    Raises:
        UserError: one of them never ran, or none did.
    """
    every = sorted({folder.name for folder in StudyFolder.all_stored(home, scale=scale)})
    if not (names or every):
        at = f" at scale {scale}" if scale else ""
        raise UserError(f"no study ran{at} under {home}; start with: lab study run quick")
    return [
        find_study(home, name, scale)
        for name in dict.fromkeys(expand_collections(names, scale, home) if names else every)
    ]


@dataclass
class Writing:
    """What was asked to be written, and where. Written anew as often as is wanted, from what is stored then."""

    home: Path
    names: list[str]
    scale: str | None
    out: Path | None
    known: dict[tuple[str, str], tuple[list[int], Entry]] = field(default_factory=dict)
    """Pages written so far, and when what they were written from was stored."""

    @property
    def single(self) -> bool:
        """Whether it is the page of one study."""
        return len(self.names) == 1 and not is_collection(self.names[0])

    @property
    def studies(self) -> list[Study]:
        """Those that ran, of those asked for."""
        return stored_studies(self.home, self.names, self.scale)

    @property
    def sources(self) -> list[StudySource]:
        """What they are read from."""
        return [StudySource(self.home, study.name, study.scale) for study in self.studies]

    @property
    def ended(self) -> bool:
        """Whether every study asked for was judged, those of a collection that never ran left aside."""
        return all(source.stored.has_verdicts for source in self.sources)

    @cached_property
    def place(self) -> Path:
        """The file of one page, or the folder of several.

        Raises:
            UserError: it can be none.
        """
        place = (self.out or self.home / "reports").absolute()
        if self.single and (self.out is None or place.is_dir()):
            place = place / page_name(self.studies[0])
        elif not self.single and place.is_file():
            raise UserError(f"--out {self.out}: is a file; for the pages of several studies give a folder")
        try:
            (place.parent if self.single else place).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"--out {self.out}: no folder can be made there ({error.strerror}); give another path"
            ) from None
        return place

    def write(self, refresh_seconds: int | None = None) -> tuple[Tree, list[str]]:
        """Write it; what was written, as JSON and as lines."""
        return (self._write_one if self.single else self._write_several)(refresh_seconds)

    def _write_one(self, refresh_seconds: int | None) -> tuple[Tree, list[str]]:
        study, path = self.studies[0], self.place
        entry = write_page(self.home, study, path, refresh_seconds)
        value = {"report": str(path), "study": study.name, "scale": study.scale, "runs": entry.complete}
        said = f"{entry.complete} of {study.runs} runs complete"
        lines = [*map(sentence, entry.judgements), said, f"page: {path}"]
        return value | {"verdicts": [judgement.record().tree() for judgement in entry.judgements]}, lines

    def _write_several(self, refresh_seconds: int | None) -> tuple[Tree, list[str]]:
        entries: dict[tuple[str, str], Entry] = {}
        for source in self.sources:
            key = source.name, source.scale
            stamps = [path.stat().st_mtime_ns for path in source.files()]
            if self.known.get(key, ([], None))[0] != stamps or refresh_seconds is None:
                study = find_study(self.home, *key)
                path = self.place / page_name(study)
                self.known[key] = stamps, write_page(self.home, study, path, refresh_seconds)
            entries[key] = self.known[key][1]
        title, asked = "Studies of multi-token prediction", "What became of each claim?"
        if len(self.names) == 1:
            declaration = load_collection(self.names[0]).declaration
            title, asked = declaration.title, declaration.question
        index = Index(title, asked, list(self.chapters(entries)), self.names, entries)
        write_index(self.place, index, refresh_seconds)
        value = {
            "index": str(self.place / INDEX),
            "pages": {
                one.page: [judgement.record().tree() for judgement in one.judgements] for one in entries.values()
            },
        }
        lines = [f"{one.study.name:<22}{one.answer}" for one in entries.values()]
        runs = sum(one.complete for one in entries.values())
        total = f"{plural(len(entries), 'study')}, {plural(runs, 'run')}, {plural(len(index.lines), 'claim')}"
        return value, [*lines, total, f"index: {self.place / INDEX}"]

    def chapters(self, entries: dict[tuple[str, str], Entry]) -> Iterator[Chapter]:
        """Those of the one collection that was asked for, or all studies in one."""
        studies = {entry.study.name: entry.study for entry in entries.values()}
        if len(self.names) != 1:
            yield Chapter("The studies", "", list(studies.values()))
            return
        scale = self.scale or next(iter(studies.values())).scale
        for one in load_collection(self.names[0]).chapters:
            ran = [studies[member.study] for member in one.studies if member.study in studies]
            absent = {
                member.study: run_command_line(member.study, scale)
                + "".join(f" --set {key}=..." for key in member.needs)
                for member in one.studies
                if member.study not in studies
            }
            yield Chapter(one.title, one.text, ran, absent)
