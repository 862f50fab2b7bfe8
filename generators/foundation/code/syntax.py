"""The syntax of a Python module, reduced to what can change a number, and its import statements.

Comments, docstrings, layout and the wording of errors and of setting descriptions are left out. The digest is the same
under every version of Python that parses the module, since absent and empty parts of the syntax tree are skipped.
"""

import ast
from dataclasses import dataclass, field
from hashlib import sha256

DIGITS = 16
"""Hexadecimal digits kept of a digest."""
WORDING = "..."
"""Stands for every text in a `raise` statement."""
SPECIAL = frozenset({ast.Import, ast.ImportFrom, ast.Assert, ast.Call, ast.If, ast.Raise})
"""Nodes of which a part is left out or noted."""
FIELDS = {
    kind: tuple(name for name in kind._fields if name != "ctx")
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}
"""Kind of node -> its fields, without the context of a name, such as that it is read, which follows from its place."""


@dataclass(frozen=True)
class ImportedNames:
    """One import statement: `from module import names`, or `import module` if there are no names.

    Attributes:
        module: dotted name, without the dots of a relative import.
        level: number of dots of a relative import.
        names: imported name -> the name that it gets here; "*" stands for all names.
    """

    module: str
    level: int = 0
    names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModuleSyntax:
    """The digest of a module and its import statements in the order of the file.

    Attributes:
        imports: those that run, within functions too.
        typing_imports: those under `if TYPE_CHECKING`.
    """

    digest: str
    imports: tuple[ImportedNames, ...]
    typing_imports: tuple[ImportedNames, ...]


def read_syntax(source: str) -> ModuleSyntax:
    """Reads the source of a module.

    Raises:
        SyntaxError: it is not Python, or of a later version.
    """
    reader = SyntaxReader()
    reader.visit(ast.parse(source))
    digest = sha256("\0".join(reader.parts).encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
    return ModuleSyntax(digest, tuple(reader.imports[False]), tuple(reader.imports[True]))


class SyntaxReader:
    """Writes a syntax tree as a list of texts, depth first.

    Attributes:
        imports: whether for type checking alone -> import statements.
    """

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.imports: dict[bool, list[ImportedNames]] = {False: [], True: []}
        self.in_error = self.for_typing = False

    def visit(self, node: ast.AST) -> None:
        """Writes a node and everything below it."""
        kind, parts = type(node), self.parts
        if kind is ast.Name:  # the most frequent node
            parts.append(f"={node.id}")  # type: ignore[attr-defined]
            return
        if self.in_error and _is_text(node):
            parts.append(WORDING)
            return
        outside, skipped, typing_block = self.in_error, None, None
        if kind in SPECIAL:
            skipped, typing_block = _wording_of(node), _typing_block_of(node)
            self.imports[self.for_typing] += _imports_of(node)
            self.in_error |= kind is ast.Raise
        parts.append(kind.__name__)
        for name in FIELDS[kind]:
            value = getattr(node, name, None)
            if value is None or value == [] or value is skipped:
                continue
            parts.append(name)
            if isinstance(value, ast.AST):
                self.visit(value)
            elif isinstance(value, list):
                self._visit_all(value, skipped, for_typing=self.for_typing or value is typing_block)
            else:
                parts.append(repr(value))
        parts.append(")")
        self.in_error = outside

    def _visit_all(self, values: list[object], skipped: ast.AST | None, *, for_typing: bool) -> None:
        outside, self.for_typing = self.for_typing, for_typing
        for value in values:
            if not isinstance(value, ast.AST):
                self.parts.append(repr(value))
            elif value is not skipped and not (isinstance(value, ast.Expr) and _is_text(value.value)):
                self.visit(value)
        self.parts.append("]")
        self.for_typing = outside


def _wording_of(node: ast.AST) -> ast.AST | None:
    """Returns the part of an `assert` or of a pydantic `Field` that is for people alone."""
    if isinstance(node, ast.Assert):
        return node.msg
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Field":
        return next((argument for argument in node.keywords if argument.arg == "description"), None)
    return None


def _typing_block_of(node: ast.AST) -> list[ast.stmt] | None:
    """Returns the statements under `if TYPE_CHECKING`."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in (getattr(node.test, name, "") for name in ("id", "attr")):
        return node.body
    return None


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _imports_of(node: ast.AST) -> list[ImportedNames]:
    if isinstance(node, ast.ImportFrom):
        names = {alias.name: alias.asname or alias.name for alias in node.names}
        return [ImportedNames(node.module or "", node.level, names)]
    return [ImportedNames(alias.name) for alias in node.names] if isinstance(node, ast.Import) else []
