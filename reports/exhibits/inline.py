"""An exhibit of a study's page as a figure in a notebook."""

from pathlib import Path

from generators.foundation.errors import check_argument
from generators.foundation.outputs import check_output_file, make_output_folder
from lab.home import home_folder
from reports.drawing.paper_files import ENDINGS
from reports.drawing.svg import standalone
from reports.exhibits.paper import INCHES, WIDTHS, draw_for_paper, exhibit_named
from studies.declared.study import Study
from studies.reading.judged import JudgedStudy
from studies.reading.loading import load


class StudyFigure:
    """An exhibit of a study. A notebook shows it where a cell ends with it.

    Attributes:
        study: the study with its results.
        name: the name of the exhibit, such as `share-solved`.
        caption: the text beside the figure on the study's page.
        svg: the figure as a whole SVG file, as the study's page shows it, in light colours.
    """

    def __init__(self, study: JudgedStudy, name: str) -> None:
        drawn = exhibit_named(study, name)
        self.study, self.name = study, drawn.name
        self.caption = drawn.exhibit.caption()
        self.svg = standalone(drawn.exhibit.figures())

    def __repr__(self) -> str:
        return f"<figure {self.name} of study {self.study.study.name} at scale {self.study.study.scale}>"

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: Path | str, width: float = WIDTHS["column"]) -> None:
        """Writes the figure to a file for a paper, as `lab figure` does: at its size, with every font inside.

        Args:
            path: a file that ends in .pdf, .svg or .png; its folder is created if it does not exist.
            width: in inches, from 2 to 12; 3.25 is a column and 6.75 a page of ICML.

        Raises:
            UserError: the file has another ending or cannot be written, or the width is no such number.
        """
        path, (low, high) = Path(path), INCHES
        fits = isinstance(width, int | float) and low <= width <= high
        check_argument("width", width, valid=fits, should_be=f"inches from {low:zg} to {high:zg}")
        check_output_file("save", path, ENDINGS)
        make_output_folder("save", path, path.absolute().parent)
        draw_for_paper(self.study, self.name, path, width)


def figure(
    study: JudgedStudy | Study | str | Path, exhibit: str, home: Path | str | None = None, scale: str | None = None
) -> StudyFigure:
    """Draws an exhibit of a study's page.

    Args:
        study: a study as `studies.load` returns it, or what `studies.load` takes: the name of a stored study, say.
        exhibit: the name of an exhibit, such as "share_solved", "score" or "contrasts"; `lab figure STUDY` lists them.
        home: for a name, the folder that the study ran under; by default LAB_HOME or `experiments`.
        scale: for a name, by default the scale that ran last.

    Raises:
        UserError: the study has no such exhibit or the exhibit has nothing to draw (the message gives the nearest), or
            the study never ran.
        PartFailed: the exhibit comes from another package, and raised an error.
    """
    judged = study if isinstance(study, JudgedStudy) else load(study, home_folder(home), scale)
    return StudyFigure(judged, exhibit)
