"""What queries can talk about: the columns of each model, also through relations, and their kinds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """One path that a query can name.

    ``kind``: which values it holds; ``key`` is the shard key and ``id:Model`` the primary key of a model.
    ``many``: a row can have several values, because the path goes through a to-many relation.
    """

    path: str
    kind: str
    null: bool = False
    many: bool = False

    @property
    def related(self) -> bool:
        return "__" in self.path or self.many

    @property
    def leaves(self) -> bool:
        """Whether the value is in another database than the group's."""
        return "site__" in self.path or "editor__" in self.path

    @property
    def numeric(self) -> bool:
        return self.kind in ("int", "decimal", "float")

    @property
    def sortable(self) -> bool:
        return self.kind != "json"


def columns(*described: str) -> tuple[Column, ...]:
    """Columns from lines like ``"visitor__nick text null"``."""
    found = []
    for line in described:
        path, kind, *flags = line.split()
        found.append(Column(path, kind, "null" in flags, "many" in flags))
    return tuple(found)


COLUMNS: dict[str, tuple[Column, ...]] = {
    "Visit": columns(
        "id id:Visit", "site key", "path text", "ms int null", "price decimal null", "ratio float null", "bot bool",
        "token uuid", "at datetime null", "took duration null", "extra json", "visitor id:Visitor",
        "visitor__name text", "visitor__nick text null", "visitor__joined date null", "country__code text null",
        "visitor__badge text null",
        "country__name text null", "country id:Country null", "tags__name text null many", "tags id:Tag null many",
        "tagging__tag__name text null many", "site__name text", "visitor__site__name text",
        "visitor__visits__ms int null many", "visitor__tickets__text text null many", "tickets__text text null many",
        "country__visit__ms int null many", "editor__username text null", "editor__last_name text null",
        "editor_id int null",
    ),
    "Visitor": columns(
        "id id:Visitor", "site key", "name text", "nick text null", "badge text null", "joined date null",
        "visits id:Visit null many",
        "visits__ms int null many", "visits__path text null many", "visits__price decimal null many",
        "visits__bot bool null many", "visits__country__code text null many", "visits__tags__name text null many",
        "tickets__text text null many", "tickets__visit__ms int null many",
        "site__name text", "visits__editor__username text null many", "tickets__invoice__total decimal null many",
    ),
    "Tag": columns(
        "id id:Tag", "site key", "name text", "visits id:Visit null many", "visits__path text null many",
        "visits__ms int null many", "visits__visitor__name text null many",
    ),
    "Tagging": columns(
        "id id:Tagging", "site key", "tag__name text", "visit__path text", "visit__ms int null",
        "visit__visitor__name text", "visit__country__code text null", "visit id:Visit", "tag id:Tag",
    ),
    "Country": columns(
        "id id:Country", "code text", "name text", "visit__ms int null many", "visit__path text null many",
        "visit__visitor__name text null many",
    ),
    "Invoice": columns(
        "site key", "number int", "total decimal", "tickets__text text null many",
        "tickets__visitor__name text null many", "site__name text",
    ),
    "Ticket": columns(
        "id id:Ticket", "site key", "text text", "invoice_no int null",
        "visitor__name text", "visitor__nick text null", "visit__ms int null",
        "visit__path text null", "visit__country__code text null", "visit__visitor__name text null",
        "invoice__total decimal null", "visit__tickets__text text null many",
    ),
    "Account": columns("id id:Account", "email text", "orders__amount int null many", "orders id:Order null many"),
    "Order": columns(
        "id id:Order", "account id:Account", "amount int", "account__email text",
        "account__orders__amount int null many",
    ),
    "Site": columns("name text"),
}  # fmt: skip

#: How often each model is asked.
WEIGHTS = {
    "Visit": 9,
    "Visitor": 4,
    "Tag": 1,
    "Tagging": 1,
    "Country": 1,
    "Invoice": 2,
    "Ticket": 3,
    "Account": 1,
    "Order": 1,
}

#: Related managers that a query can start from: the model that has it, and its name.
MANAGERS = {
    "Visit": (("Visitor", "visits"), ("Tag", "visits"), ("Country", "visit_set")),
    "Tag": (("Visit", "tags"),),
    "Order": (("Account", "orders"),),
    "Ticket": (("Visitor", "tickets"), ("Visit", "tickets")),
}
#: Relations to one row, for ``select_related``.
TO_ONE = {
    "Visit": ("visitor", "country", "site", "editor", "visitor__site"),
    "Visitor": ("site",),
    "Tagging": ("visit", "tag", "visit__visitor", "visit__country", "visit__editor"),
    "Invoice": ("site",),
    "Order": ("account",),
    "Ticket": ("visitor", "visit", "invoice", "visit__visitor", "visit__country"),
}
#: Relations for ``prefetch_related``; ``site`` leaves the group.
PREFETCHES = {
    "Visit": ("tags", "site", "editor", "visitor", "country", "visitor__visits", "tagging_set"),
    "Visitor": ("visits", "site", "visits__tags", "visits__country", "tickets", "tickets__visit"),
    "Tag": ("visits", "site", "visits__visitor"),
    "Tagging": ("visit", "tag", "site"),
    "Invoice": ("site", "tickets"),
    "Ticket": ("visitor", "visit", "invoice", "site", "visit__tags", "visitor__tickets"),
    "Account": ("orders",),
    "Order": ("account",),
}
#: Fields that an update may set, besides the shard key.
WRITABLE = {
    "Visit": ("path", "ms", "price", "ratio", "bot", "at", "took", "extra"),
    "Visitor": ("name", "nick", "badge", "joined"),
    "Tag": ("name",),
    "Country": ("name",),
    "Invoice": ("total",),
    "Ticket": ("text", "invoice_no"),
    "Account": ("email",),
    "Order": ("amount",),
}


def column(model: str, path: str) -> Column:
    """The column of ``model`` with this path."""
    return next(found for found in COLUMNS[model] if found.path == path)


def own_columns(model: str) -> tuple[Column, ...]:
    """The columns of the model's own table."""
    return tuple(found for found in COLUMNS[model] if not found.related)
