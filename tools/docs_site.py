"""Pages of the documents site that are made from the program: a hook of MkDocs (mkdocs.yml).

Commands, settings and requests of the HTTP API are written from their own declarations at each
build, so that they cannot differ from the program. Files outside of `docs/` that are for readers
become pages; other links that leave `docs/` become plain text, because the site has no such page.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

COPIED = {
    "SECURITY.md": "reference/security.md",
    "CHANGELOG.md": "reference/changes.md",
    "CONTRIBUTING.md": "reference/contributing.md",
    "README.md": "index.md",
}
"""Documents of the project's folder by their pages; the README's own page is the site's home."""
_LINK = re.compile(r"\[([^\]]+)\]\(((?!https?:|mailto:|#)[^)\s]+)\)")
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
_METHODS = ("get", "post", "put", "patch", "delete", "head")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made from the program."""
    from mkdocs.structure.files import File

    for path, text in made_pages():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links to files outside of `docs/` lead to their pages, or be plain text."""
    return relinked(markdown, page.file.src_uri)


def made_pages() -> Iterator[tuple[str, str]]:
    """Yield the path below `docs/` and the Markdown of each made page."""
    yield "reference/commands.md", commands_page()
    yield "reference/settings.md", settings_page()
    yield "reference/http-api.md", http_api_page()
    for source, path in COPIED.items():
        if path != "index.md":
            yield path, _moved((ROOT / source).read_text(encoding="utf-8"), path)


def relinked(markdown: str, page: str) -> str:
    """Return a page whose links stay in the site; `page` is its path below `docs/`."""
    folder = (ROOT / "docs" / page).parent

    def link(found: re.Match[str]) -> str:
        label, target = found[1], found[2]
        name, _, anchor = target.partition("#")
        path = (folder / name).resolve()
        if path.is_relative_to(ROOT / "docs") and path.suffix in (".md", ".png", ".sql", ".json"):
            return found[0]
        inside = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""
        if inside in COPIED:
            up = "../" * page.count("/")
            return f"[{label}]({up}{COPIED[inside]}{'#' + anchor if anchor else ''})"
        return label

    parts = _CODE.split(markdown)  # odd ones are code
    return "".join(part if n % 2 else _LINK.sub(link, part) for n, part in enumerate(parts))


def _moved(markdown: str, path: str) -> str:
    """Return a document of the project's folder with links as a page at another path has them."""
    up = "../" * (path.count("/") + 1)

    def link(found: re.Match[str]) -> str:
        return f"[{found[1]}]({up}{found[2]})"

    parts = _CODE.split(markdown)
    return "".join(part if n % 2 else _LINK.sub(link, part) for n, part in enumerate(parts))


def commands_page() -> str:
    """Return the page of all commands: what each does, its arguments, options and examples."""
    from typer.main import get_command

    from kb.cli.application import application
    from kb.cli.frame import EXAMPLES, GROUPS

    app = application()

    command: Any = get_command(app)
    top = _context(command, "kb")
    lines = [
        "# Commands",
        "",
        "Made from the program itself. Results go to the standard output, notes and progress to "
        "standard error. Exit codes: 0 all well, 1 an item failed, 2 wrong use or configuration. "
        "`--json` prints a result for programs.",
        "",
        "## Options before a command",
        "",
        *_options(command, top),
    ]
    for group, names in GROUPS.items():
        lines += ["", f"## {group}"]
        for name in names:
            each = command.commands[name]
            context = _context(each, name, top)
            lines += ["", f"### kb {name}", "", _sentence(each.help or ""), ""]
            lines += ["```", _usage(each, context), "```", "", *_options(each, context)]
            for sub, below in sorted(getattr(each, "commands", {}).items()):
                inner = _context(below, sub, context)
                lines += ["", f"#### kb {name} {sub}", "", _sentence(below.help or ""), ""]
                lines += ["```", _usage(below, inner), "```", "", *_options(below, inner)]
            if examples := EXAMPLES.get(name):
                lines += ["", "Examples:", "", "```", *examples, "```"]
    return "\n".join(lines) + "\n"


def _context(command: Any, name: str, parent: Any = None) -> Any:
    return command.context_class(command, info_name=name, parent=parent)


def _usage(command: Any, context: Any) -> str:
    return " ".join((context.command_path, *command.collect_usage_pieces(context)))


def _options(command: Any, context: Any) -> list[str]:
    """Return the rows of a command's arguments and options, as its help has them."""
    rows = []
    for parameter in command.get_params(context):
        if getattr(parameter, "hidden", False):
            continue
        record = parameter.get_help_record(context)
        names = record[0] if record else " ".join(parameter.get_usage_pieces(context))
        help_text = record[1] if record else parameter.help
        rows.append(f"| `{_line(names)}` | {_cell(help_text or '')} |")
    return ["| | |", "|---|---|", *rows] if rows else []


def settings_page() -> str:
    """Return the page of all settings by group: name, default, what it decides."""
    from pydantic import SecretStr

    from kb.settings import Settings

    lines = [
        "# Settings",
        "",
        "Made from the program itself. A setting is a variable of the environment, or a line of "
        "`.env` (`.env.example` has all of them with their defaults); an empty value takes the "
        "default. The dashboard's Settings tab changes them too.",
    ]
    for group, fields in Settings.fields_by_group().items():
        lines += ["", f"## {group}", "", "| setting | default | what it decides |", "|---|---|---|"]
        for each in fields.values():
            default = each.get_default(call_default_factory=True)
            if isinstance(default, SecretStr):
                default = default.get_secret_value()
            if isinstance(default, bool):
                default = str(default).lower()
            shown = f"`{_line(str(default))}`" if str(default) else "empty"
            if str(default).startswith(str(Path.home())):
                shown = "`~" + str(default)[len(str(Path.home())) :] + "`"
            lines.append(f"| `{each.alias}` | {shown} | {_cell(str(each.description))} |")
    return "\n".join(lines) + "\n"


def http_api_page() -> str:
    """Return the page of all requests of the HTTP API, from its OpenAPI description."""
    import tempfile

    from kb.api.app import create_app
    from kb.api.context import ApiContext
    from kb.settings import Settings

    with tempfile.TemporaryDirectory() as home:
        context = ApiContext(Settings.model_validate({"KB_HOME": home}))
        try:
            document = create_app(context).openapi()
        finally:
            context.close()
    lines = [
        "# Requests of the HTTP API",
        "",
        "Made from the program's own OpenAPI description, which a running server gives under "
        "`/openapi.json`. [HTTP API](../api.md) tells how to use it.",
    ]
    by_tag: dict[str, list[tuple[str, str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if operation := methods.get(method):
                tag = (operation.get("tags") or ["Other"])[0]
                by_tag.setdefault(tag, []).append((path, method, operation))
    for tag, operations in by_tag.items():
        lines += ["", f"## {tag}"]
        for path, method, operation in operations:
            lines += ["", f"### {method.upper()} {path}", ""]
            lines += [_sentence(operation.get("description") or operation.get("summary") or ""), ""]
            rows = [
                f"| `{each['name']}` | {each['in']} | {_cell(each.get('description', ''))} |"
                for each in operation.get("parameters", ())
            ]
            for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
                rows += [
                    f"| `{name}` | body ({media_type}) | {_cell(text)} |"
                    for name, text in _body_fields(document, body.get("schema", {}))
                ]
            if rows:
                lines += ["| name | where | |", "|---|---|---|", *rows, ""]
            answers = ", ".join(sorted(operation.get("responses", {})))
            lines += [f"Answers: {answers}."]
    return "\n".join(lines) + "\n"


def _body_fields(document: Any, schema: Any) -> Iterator[tuple[str, str]]:
    if reference := schema.get("$ref"):
        schema = document["components"]["schemas"][reference.rpartition("/")[2]]
    for name, each in schema.get("properties", {}).items():
        yield name, each.get("description", "")


def _line(text: str) -> str:
    """Return a text as one line of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _cell(text: str) -> str:
    return _line(text).replace("<", "&lt;")


def _sentence(text: str) -> str:
    return text.replace("\b", "").strip().replace("<", "&lt;")
