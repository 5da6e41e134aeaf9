"""What the two forms of the sharded id share: a value that is given out when its row is first saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models

if TYPE_CHECKING:
    Base = models.Field[Any, Any]
else:
    Base = object


class GivenOut(Base):
    """A field whose value is made from the shard key of the instance; mixed in before Django's field."""

    #: Says that values name their bucket, also through foreign keys.
    carries_bucket = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        # editable=False is the default here, and Django leaves out its own default, True.
        if self.editable:
            kwargs["editable"] = True
        else:
            kwargs.pop("editable", None)
        # As they are imported; a class that is derived from them elsewhere is found where it is.
        if path.startswith("horizon_shards.fields."):
            path = f"horizon_shards.fields.{type(self).__name__}"
        return name, path, list(args), kwargs

    def bucket_in(self, value: Any) -> int | None:
        """The bucket inside a value of the field's Python type, or None where it is none of ours."""
        raise TypeError(f"{type(self).__name__} must say where the bucket is.")

    def new_value(self, instance: models.Model) -> Any:
        """A new value for the instance."""
        raise TypeError(f"{type(self).__name__} must say how a value is made.")

    def bucket_of(self, value: Any) -> int | None:
        """The bucket inside ``value`` (or text of it), or None where it is none of ours."""
        try:
            parsed = self.to_python(value)
        except ValidationError:
            return None
        return None if parsed is None else self.bucket_in(parsed)

    def has_default(self) -> bool:
        """True: the value is made on saving."""
        return True

    def get_default(self) -> Any:
        """None: before saving, the shard key may not be known yet."""
        return None

    def get_pk_value_on_save(self, instance: models.Model) -> Any:
        """A new value for the instance."""
        return self.new_value(instance)

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """The instance's value, made now if it has none and is being added."""
        value = getattr(model_instance, self.attname)
        if value is None and add:
            value = self.new_value(model_instance)
            setattr(model_instance, self.attname, value)
        return value

    def formfield(self, *args: Any, **kwargs: Any) -> None:
        """No form field: nobody types an id."""
        return
