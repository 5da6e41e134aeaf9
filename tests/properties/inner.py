"""Queries inside others, as code: for one value, for a truth, and relations with a condition of their own."""

from __future__ import annotations

#: Queries for one value: in code with ``{}`` for a condition, the model asked, the kind of result, whether each row
#: finds what it needs on its own shard.
VALUES: dict[str, tuple[tuple[str, str, str, bool], ...]] = {
    "Visit": (
        ('Visitor.objects.filter({}, pk=OuterRef("visitor")).values("name")[:1]', "Visitor", "text", True),
        ('Visit.objects.filter({}, site=OuterRef("site")).order_by("ms", "pk").values("ms")[:1]', "Visit", "int", True),
        (
            (
                'Tagging.objects.filter({}, visit=OuterRef("pk")).order_by().values("visit").annotate(c=Count("id"))'
                '.values("c")'
            ),
            "Tagging",
            "int",
            True,
        ),
        ('Visit.objects.filter({}, path=OuterRef("path")).order_by("pk").values("ms")[:1]', "Visit", "int", False),
        ('Site.objects.filter({}, pk=OuterRef("site")).values("name")[:1]', "Site", "text", False),
        ('Account.objects.filter({}).order_by("pk").values("email")[:1]', "Account", "text", False),
        ('Country.objects.filter({}, pk=OuterRef("country")).values("name")[:1]', "Country", "text", True),
        *(
            (f'Visit.objects.filter({{}}).order_by("pk").values("{name}")[:1]', "Visit", kind, False)
            for name, kind in (("at", "datetime"), ("took", "duration"), ("extra", "json"), ("price", "decimal"))
        ),
        *(
            (f'{model}.objects.filter({{}}).order_by("pk").annotate(w={text}).values("w")[:1]', model, kind, False)
            for model, text, kind in (
                ("Visit", 'F("ms") * 2', "int"),
                ("Visit", 'F("ms") / 3', "int"),
                ("Visit", 'Length("path")', "int"),
                ("Invoice", 'F("total") * 3', "decimal"),
                ("Invoice", 'F("total") / 7', "decimal"),
            )
        ),
    ),
    "Visitor": (
        ('Visitor.objects.filter({}).order_by("pk").values("joined")[:1]', "Visitor", "date", False),
        (
            'Visit.objects.filter({}, visitor=OuterRef("pk")).order_by("-ms", "pk").values("ms")[:1]',
            "Visit",
            "int",
            True,
        ),
        (
            (
                'Visit.objects.filter({}, visitor=OuterRef("pk")).order_by().values("visitor").annotate(c=Sum("ms"))'
                '.values("c")'
            ),
            "Visit",
            "int",
            True,
        ),
        (
            'Ticket.objects.filter({}, visitor=OuterRef("pk")).order_by("pk").values("text")[:1]',
            "Ticket",
            "text",
            False,
        ),
        (
            'Visitor.objects.filter({}, nick=OuterRef("nick")).order_by("-pk").values("name")[:1]',
            "Visitor",
            "text",
            False,
        ),
    ),
    "Ticket": (
        (
            'Invoice.objects.filter({}, site=OuterRef("site"), number=OuterRef("invoice_no")).values("total")[:1]',
            "Invoice",
            "decimal",
            True,
        ),
        (
            (
                'Visit.objects.filter({}, site=OuterRef("site"), ms__gt=OuterRef("invoice_no")).order_by("pk")'
                '.values("path")[:1]'
            ),
            "Visit",
            "text",
            True,
        ),
    ),
    "Country": (
        ('Visit.objects.filter({}, country=OuterRef("pk")).order_by("pk").values("ms")[:1]', "Visit", "int", False),
        (
            'Country.objects.filter({}, name__gt=OuterRef("name")).order_by("pk").values("code")[:1]',
            "Country",
            "text",
            True,
        ),
    ),
    "Order": (
        ('Account.objects.filter({}, pk=OuterRef("account")).values("email")[:1]', "Account", "text", True),
        (
            'Order.objects.filter({}, amount__lt=OuterRef("amount")).order_by("pk").values("amount")[:1]',
            "Order",
            "int",
            False,
        ),
    ),
    "Account": (
        (
            'Order.objects.filter({}, account=OuterRef("pk")).order_by("-amount").values("amount")[:1]',
            "Order",
            "int",
            True,
        ),
    ),
}
#: Conditions as columns, some with a subquery in the subquery.
TRUTHS: dict[str, tuple[tuple[str, str, bool], ...]] = {
    "Visit": (
        ('Exists(Tagging.objects.filter({}, visit=OuterRef("pk")))', "Tagging", True),
        ('~Exists(Visit.objects.filter({}, site=OuterRef("site"), pk__gt=OuterRef("pk")))', "Visit", True),
        ('Exists(Visit.objects.filter({}, ms__gt=OuterRef("ms")))', "Visit", False),
    ),
    "Visitor": (
        (
            (
                'Exists(Visit.objects.filter(Exists(Tagging.objects.filter({}, site=OuterRef(OuterRef("site")), '
                'visit=OuterRef("pk"))), visitor=OuterRef("pk")))'
            ),
            "Tagging",
            True,
        ),
        ('Exists(Ticket.objects.filter({}, visitor_no=OuterRef("pk")))', "Ticket", False),
    ),
    "Invoice": (
        ('Exists(Ticket.objects.filter({}, site=OuterRef("site"), invoice_no=OuterRef("number")))', "Ticket", True),
    ),
}


#: Relations with a condition of their own, and what can be named through them.
FILTERED = {
    "Visit": (
        ("visitor", "visitor__nick__isnull=True", "name text null"),
        ("tags", 'tags__name__gt="a"', "name text null many"),
    ),
    "Visitor": (
        ("visits", "visits__ms__gt=0", "ms int null many"),
        ("visits", "visits__bot=True", "path text null many"),
    ),
    "Ticket": (("visit", "visit__bot=False", "ms int null"),),
    "Account": (("orders", "orders__amount__lt=3", "amount int null many"),),
    "Country": (("visit", "visit__ms__gt=0", "path text null many"),),
}

#: Conditions with a query inside, by model; the first of each is on colocated rows, the others are answered elsewhere.
SUBQUERIES = {
    "Visit": (
        ("visitor__in=Visitor.objects.filter({})", "Visitor"),
        ("site__in=Site.objects.filter({})", "Site"),
        ('path__in=Visitor.objects.filter({}).values("nick")', "Visitor"),
        ('ms__in=Order.objects.filter({}).values("amount")', "Order"),
        ('price__in=Invoice.objects.filter({}).values("total")', "Invoice"),
        ('at__in=Visit.objects.filter({}).values("at")', "Visit"),
        ('ms__in=Visit.objects.filter({}).annotate(w=F("ms") * 2).values("w")', "Visit"),
        ('ms__gte=Visit.objects.filter({}).order_by("pk").annotate(w=F("ms") / 3).values("w")[:1]', "Visit"),
        ('price__in=Invoice.objects.filter({}).annotate(w=F("total") * 3).values("w")', "Invoice"),
        ('extra=Visit.objects.filter({}).order_by("pk").values("extra")[:1]', "Visit"),
        ('visitor__joined__in=Visitor.objects.filter({}).values("joined")', "Visitor"),
        ('price__gte=Invoice.objects.filter({}).order_by("pk").values("total")[:1]', "Invoice"),
        ('Exists(Tag.objects.filter({}, name=OuterRef("path")))', "Tag"),
    ),
    "Visitor": (
        ('Exists(Visit.objects.filter({}, visitor=OuterRef("pk")))', "Visit"),
        ('nick__in=Visit.objects.filter({}).values("path")', "Visit"),
        ('badge__in=Visitor.objects.filter({}).values("badge")', "Visitor"),
        ('badge__in=Visitor.objects.filter({}).values("nick")', "Visitor"),
        ('badge__gte=Visitor.objects.filter({}).order_by("pk").values("badge")[:1]', "Visitor"),
        ('Exists(Visitor.objects.filter({}, badge=OuterRef("badge")))', "Visitor"),
        ('Exists(Country.objects.filter({}, name=OuterRef("nick")))', "Country"),
        ('Exists(Visitor.objects.filter({}, nick=OuterRef("nick")))', "Visitor"),
        ("Exists(Account.objects.filter({}))", "Account"),
    ),
    "Order": (
        ("account__in=Account.objects.filter({})", "Account"),
        ('amount__in=Visit.objects.filter({}).values("ms")', "Visit"),
    ),
    "Country": (
        ('pk__in=Country.objects.filter({}).values("pk")', "Country"),
        ('pk__in=Visit.objects.filter({}).values("country")', "Visit"),
        ('Exists(Visit.objects.filter({}, country=OuterRef("pk")))', "Visit"),
    ),
    "Ticket": (
        ("visitor__in=Visitor.objects.filter({})", "Visitor"),
        ("visit__in=Visit.objects.filter({})", "Visit"),
        ('visitor__in=Visit.objects.filter({}).values("site", "visitor")', "Visit"),
    ),
}
