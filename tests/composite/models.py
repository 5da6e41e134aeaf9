"""Models with composite foreign keys in one plain database: every kind of part and of ``on_delete``."""

from __future__ import annotations

from django.db import models

from horizon_shards.fields import (
    CompositeForeignKey,
    CompositeOneToOneField,
    FunctionBasedFieldValue,
    RawFieldValue,
)

#: What the language part says; tests change it.
LANGUAGE = ["en"]


def language() -> str:
    """The language of the running test."""
    return LANGUAGE[0]


class Desk(models.Model):
    """Known by its branch and a number that is unique in the branch only."""

    branch = models.IntegerField()
    number = models.IntegerField()
    name = models.CharField(max_length=50)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["branch", "number"], name="one_desk_a_number")]

    def __str__(self) -> str:
        return self.name


class Clerk(models.Model):
    """May have a desk: the branch stays when the desk is gone."""

    branch = models.IntegerField()
    desk_number = models.IntegerField(null=True, blank=True)
    desk = CompositeForeignKey(
        Desk,
        models.SET_NULL,
        {"branch": "branch", "number": "desk_number"},
        null=True,
        blank=True,
        related_name="clerks",
    )
    name = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.name


class OfDesk(models.Model):
    """What refers to a desk and must have one."""

    branch = models.IntegerField()
    number = models.IntegerField()

    class Meta:
        abstract = True


class Drawer(OfDesk):
    """Goes with its desk."""

    desk = CompositeForeignKey(Desk, models.CASCADE, ("branch", "number"), related_name="drawers")


class Key(models.Model):
    """Goes with the drawer: a second step of a cascade."""

    drawer = models.ForeignKey(Drawer, models.CASCADE)


class Safe(OfDesk):
    """Keeps its desk."""

    desk = CompositeForeignKey(Desk, models.PROTECT, ("branch", "number"))


class Chair(OfDesk):
    """Keeps its desk unless it goes by another way."""

    desk = CompositeForeignKey(Desk, models.RESTRICT, ("branch", "number"))
    clerk = models.ForeignKey(Clerk, models.CASCADE, null=True)


class Lamp(OfDesk):
    """Does not care."""

    desk = CompositeForeignKey(Desk, models.DO_NOTHING, ("branch", "number"), related_name="+")


class Phone(models.Model):
    """Falls back to the desk with number 0, by the column's default."""

    branch = models.IntegerField()
    desk_number = models.IntegerField(default=0)
    desk = CompositeForeignKey(Desk, models.SET_DEFAULT, {"branch": "branch", "number": "desk_number"})


def first_desk() -> Desk:
    """What ``SET()`` sets."""
    return Desk.objects.using("oracle").order_by("pk")[0]


class Printer(OfDesk):
    """Moves to the first desk of all."""

    desk = CompositeForeignKey(Desk, models.SET(first_desk), ("branch", "number"))


class Coat(models.Model):
    """Cascades although it need not have a desk; 0 means none, and the number becomes 0 when it is taken away."""

    branch = models.IntegerField()
    desk_number = models.IntegerField(default=0)
    desk = CompositeForeignKey(
        Desk,
        models.CASCADE,
        {"branch": "branch", "number": "desk_number"},
        null=True,
        related_name="coats",
        null_if_equal=[("desk_number", 0)],
        nullable_fields={"desk_number": 0},
    )


class Loan(models.Model):
    """Both columns can be NULL, each by itself."""

    branch = models.IntegerField(null=True)
    number = models.IntegerField(null=True)
    desk = CompositeForeignKey(Desk, models.SET_NULL, ("branch", "number"), null=True, related_name="loans")


class Badge(OfDesk):
    """One a desk."""

    desk = CompositeOneToOneField(Desk, models.CASCADE, ("branch", "number"), related_name="badge")


class Price(models.Model):
    """Known by a code and its kind."""

    kind = models.CharField(max_length=10)
    code = models.IntegerField()
    amount = models.IntegerField()

    class Meta:
        unique_together = [("code", "kind")]


class Offer(models.Model):
    """Refers to prices of the kind ``alpha`` alone."""

    code = models.IntegerField()
    price = CompositeForeignKey(
        Price, models.CASCADE, {"code": "code", "kind": RawFieldValue("alpha")}, related_name="offers"
    )


class Text(models.Model):
    """Of one label in one language."""

    label = models.IntegerField()
    language = models.CharField(max_length=2)
    words = models.CharField(max_length=50)


class Sign(models.Model):
    """Shows the text of its label in the language of the moment."""

    label = models.IntegerField()
    text = CompositeForeignKey(
        Text, models.CASCADE, {"label": "label", "language": FunctionBasedFieldValue(language)}, related_name="signs"
    )


class Folder(models.Model):
    """Has a composite primary key."""

    pk = models.CompositePrimaryKey("branch", "number")
    branch = models.IntegerField()
    number = models.IntegerField()
    name = models.CharField(max_length=50)


class Sheet(models.Model):
    """Refers to a model with a composite primary key."""

    branch = models.IntegerField()
    number = models.IntegerField()
    folder = CompositeForeignKey(Folder, models.CASCADE, ("branch", "number"), related_name="sheets")
    page = models.IntegerField(null=True)
