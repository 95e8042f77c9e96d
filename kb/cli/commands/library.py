"""Commands of the library's list: list, tag, searches."""

from __future__ import annotations

from typing import Annotated

import typer

from kb.cli.options import with_list_filter
from kb.cli.output import console
from kb.cli.output.lists import VALUES, print_items, print_new_hits, print_searches
from kb.cli.output.search import print_search
from kb.cli.plain_options import ID_HELP, Json
from kb.errors import UsageError
from kb.service import Service
from kb.service.notation import FACETS, SEARCH_MODES, ListFilter
from kb.service.search_document import search_document
from kb.types.sentences import counted

searches_app = typer.Typer(
    help="Searches saved under a name, and what they find in new items.",
    invoke_without_command=True,
    no_args_is_help=False,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A name of `kb searches`.")]
AlertsHelp = "off; new: every new item; followed: those of followed sources."


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("list")(list_items)
    app.command()(tag)
    app.add_typer(searches_app, name="searches")


@with_list_filter
def list_items(
    filters: ListFilter,
    sort: Annotated[
        str,
        typer.Option(
            "--sort",
            help="published, title, channel, length, words, grade, coverage, errors, doubtful, "
            "transcribed.",
        ),
    ] = "published",
    reverse: Annotated[bool, typer.Option("--reverse", help="Turn the order.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Items, at most.")] = 50,
    facets: Annotated[
        bool, typer.Option("--facets", help="The values to filter by, with their numbers.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the items of the library, filtered and sorted; --json has all of them."""
    catalogue = Service.of_existing_library().catalogue
    rows = catalogue.rows()
    page = catalogue.page(
        catalogue.named(filters, rows), sort=sort, reverse=reverse, rows=rows,  # type: ignore[arg-type]
    )  # fmt: skip
    if as_json:
        console.print_json(
            {
                "items": [row.as_dict() for row in page.rows],
                "total": page.total,
                "seconds": page.seconds,
                "words": page.counted_words,
                "facets": page.counts,
            }
        )
    elif facets:
        for name in FACETS:
            values = ", ".join(f"{value} ({count})" for value, count in page.counts[name].items())
            console.out.print(f"{name}: {values}", markup=False, soft_wrap=True)
    else:
        print_items(page, page.rows[:limit])
        if rows and not page.total:
            console.print_note(f"The filters leave none of {counted(len(rows), 'item')}. {VALUES}")


def tag(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help=f"{ID_HELP} Without: all tags.")
    ] = None,
    add: Annotated[
        list[str] | None, typer.Option("--add", "-a", help="A tag to add; again for more.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", "-r", help="A tag to remove; again for more.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add and remove tags of items, or show those of an item or of the library."""
    service = Service.of_existing_library()
    if not ids:
        if add or remove:
            raise UsageError(
                "tag.no_items",
                "No item is named.",
                hint="For example: kb tag ID --add interview",
            )
        tags = service.labels.tags()
        if as_json:
            console.print_json({"tags": tags})
            return
        for name, count in tags.items():
            console.out.print(f"{name}  {counted(count, 'item')}", markup=False)
        if not tags:
            console.print_note("No item has a tag. Add one with: kb tag ID --add interview")
        return
    known = [service.items.entry(each).item.id for each in ids]
    changed = service.labels.tag(known, add or (), remove or ()) if add or remove else []
    found = {item_id: service.items.entry(item_id).user_tags for item_id in known}
    if as_json:
        console.print_json(
            {
                "items": [{"id": each, "tags": list(tags)} for each, tags in found.items()],
                "changed": changed,
            }
        )
        return
    for item_id, own in found.items():
        console.out.print(f"{item_id}  {', '.join(own) or '–'}", markup=False, soft_wrap=True)


@searches_app.callback()
def searches(context: typer.Context, as_json: Json = False) -> None:
    """Show the saved searches, and how many new items each has found."""
    if context.invoked_subcommand is not None:
        return
    found = Service.of_existing_library().saved_searches.all()
    if as_json:
        console.print_json({"searches": [each.as_dict() for each in found]})
    else:
        print_searches(found)


@with_list_filter
def add_search(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name, as `Harbours`.")],
    query: Annotated[str, typer.Argument(help='Words; "in quotes" for a phrase.')],
    filters: ListFilter,
    mode: Annotated[str, typer.Option("--mode", help=", ".join(SEARCH_MODES))] = "hybrid",
    alerts: Annotated[str, typer.Option("--alerts", help=AlertsHelp)] = "off",
    as_json: Json = False,
) -> None:
    """Save a search with its filters under a name."""
    service = Service.of_existing_library()
    made = service.saved_searches.save(
        name, query, mode=mode,  # type: ignore[arg-type]
        filters=service.catalogue.named(filters), alerts=alerts,  # type: ignore[arg-type]
    )  # fmt: skip
    if as_json:
        console.print_json(made.as_dict())
        return
    what = {"off": "", "new": " New items with all its words are reported."}.get(
        made.alerts, " New items of followed sources with all its words are reported."
    )
    console.print_note(f"{made.name} is saved.{what} Search with: kb searches run NAME")


searches_app.command("add")(add_search)


@searches_app.command("run")
def run_search(
    name: Name,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=1000, help="Passages, at most.")
    ] = 10,
    as_json: Json = False,
) -> None:
    """Search with a saved search and its filters."""
    result = Service.of_existing_library().saved_searches.run(name, limit)
    if as_json:
        console.print_json(search_document(result))
    else:
        print_search(result)


@searches_app.command("new")
def new_hits(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Of one search; without: of all.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that were seen already.")
    ] = False,
    seen: Annotated[bool, typer.Option("--seen", help="Mark them as seen.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=10_000, help="The newest.")
    ] = 100,
    as_json: Json = False,
) -> None:
    """Show the new items that have all words of saved searches."""
    saved = Service.of_existing_library().saved_searches
    found = saved.alerts(name, unseen=not everything, limit=limit)
    if as_json:
        console.print_json({"new": [each.as_dict() for each in found]})
    else:
        print_new_hits(found)
    if seen:
        saved.mark_seen(name)


@searches_app.command("change")
def change_search(
    name: Name,
    new_name: Annotated[str | None, typer.Option("--name", help="Another name.")] = None,
    alerts: Annotated[str | None, typer.Option("--alerts", help=AlertsHelp)] = None,
    as_json: Json = False,
) -> None:
    """Change the name of a saved search, or what it reports."""
    changed = Service.of_existing_library().saved_searches.change(
        name, new_name=new_name, alerts=alerts,  # type: ignore[arg-type]
    )  # fmt: skip
    if as_json:
        console.print_json(changed.as_dict())
    else:
        console.print_note(f"{changed.name}: alerts {changed.alerts}.")


@searches_app.command("remove")
def remove_search(name: Name) -> None:
    """Remove a saved search and what it has reported; no item is touched."""
    removed = Service.of_existing_library().saved_searches.remove(name)
    console.print_note(f"{removed.name} is removed.")
