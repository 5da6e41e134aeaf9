"""Serializers of Django REST framework that save into the sink of their model; the extra ``drf``."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Model
from rest_framework.serializers import ListSerializer, ModelSerializer
from rest_framework.validators import UniqueValidator

from horizon_shards.sinks import sink_of
from horizon_shards.sinks.base import Sink
from horizon_shards.sinks.forms import refuse_change, refuse_many_to_many

#: By serializer class, and whether its sink stores at once: nothing else decides what a model's fields are.
_fields: dict[tuple[type, bool], Any] = {}


class SinkListSerializer(ListSerializer):
    """Puts all instances of ``many=True`` into the sink together."""

    def create(self, validated_data: Sequence[Mapping[str, Any]]) -> list[Model]:
        """The instances, in the order of the data; ``SinkError`` where one was not taken."""
        instances = [self.child.instance_of(data) for data in validated_data]
        self.child.sink.put_many(instances)
        return instances


class SinkModelSerializer(ModelSerializer):
    """As ``ModelSerializer``, and :meth:`create` puts the row into the sink of the model.

    Where the sink does not store at once, the validators that ask the database whether a value is unique are left
    out; whatever else the serializer validates stays, with its errors.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        meta = getattr(cls, "Meta", None)
        if meta is not None and not hasattr(meta, "list_serializer_class"):
            cls.Meta = type("Meta", (meta,), {"list_serializer_class": SinkListSerializer})

    @property
    def sink(self) -> Sink:
        """The sink of the model, by the settings."""
        return sink_of(self.Meta.model)

    def instance_of(self, validated_data: Mapping[str, Any]) -> Model:
        """An unsaved instance; ``RecordRefused`` for values of many-to-many fields."""
        refuse_many_to_many(self.Meta.model, validated_data)
        instance: Model = self.Meta.model(**validated_data)
        return instance

    def create(self, validated_data: Mapping[str, Any]) -> Any:
        """The instance, put into the sink; ``SinkError`` where it was not taken."""
        many = {field.name for field in self.Meta.model._meta.many_to_many} & set(validated_data)
        if many and self.sink.stores_at_once:
            return super().create(validated_data)
        instance = self.instance_of(validated_data)
        self.sink.put(instance)
        return instance

    def update(self, instance: Model, validated_data: Mapping[str, Any]) -> Any:
        """As ``ModelSerializer``; ``RecordRefused`` where the sink only adds."""
        refuse_change(self.sink, instance)
        return super().update(instance, validated_data)

    def get_fields(self) -> Any:
        """The fields; what a model has is worked out once, and copied for each serializer."""
        key = (type(self), self.sink.stores_at_once)
        if key not in _fields:
            _fields[key] = super().get_fields()
        return copy.deepcopy(_fields[key])

    def build_field(self, *args: Any, **kwargs: Any) -> Any:
        """The field, without the query for uniqueness where the row will not be there at once."""
        field, options = super().build_field(*args, **kwargs)
        if "validators" in options and not self.sink.stores_at_once:
            options["validators"] = [v for v in options["validators"] if not isinstance(v, UniqueValidator)]
        return field, options

    def get_unique_together_validators(self) -> list[Any]:
        """None where the row will not be there at once."""
        return super().get_unique_together_validators() if self.sink.stores_at_once else []

    def get_unique_for_date_validators(self) -> list[Any]:
        """None where the row will not be there at once."""
        return super().get_unique_for_date_validators() if self.sink.stores_at_once else []
