"""A base class of factories for items of DynamoDB: factory_boy makes them, PynamoDB saves them."""

from __future__ import annotations

from typing import Any, TypeVar

from factory.base import Factory
from pynamodb.models import Model

Item = TypeVar("Item", bound=Model)


class PynamoFactory(Factory[Item]):
    """``build()`` makes an item without any I/O, ``create()`` saves it, ``create_batch()`` writes 25 with a call.

    ``create()`` is PynamoDB's ``save()``: an item with a ``VersionAttribute`` that is there already is refused.
    ``create_batch()`` has no conditions, as DynamoDB has none for batches: it replaces what is there, and hooks after
    the generation are told that the items were built.
    """

    class Meta:
        abstract = True

    @classmethod
    def _build(cls, model_class: type[Item], *args: Any, **kwargs: Any) -> Item:
        return model_class(*args, **kwargs)

    @classmethod
    def _create(cls, model_class: type[Item], *args: Any, **kwargs: Any) -> Item:
        item = cls._build(model_class, *args, **kwargs)
        item.save()
        return item

    @classmethod
    def create_batch(cls, size: int, **kwargs: Any) -> list[Item]:
        """So many items with the same overrides, written together."""
        items: list[Item] = cls.build_batch(size, **kwargs)
        with cls._meta.model.batch_write() as batch:
            for item in items:
                batch.save(item)
        return items
