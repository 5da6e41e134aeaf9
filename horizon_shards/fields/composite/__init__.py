"""Foreign keys of several columns."""

from horizon_shards.fields.composite.field import CompositeForeignKey, CompositeOneToOneField
from horizon_shards.fields.composite.forms import CompositeModelForm
from horizon_shards.fields.composite.parts import FunctionBasedFieldValue, RawFieldValue

__all__ = [
    "CompositeForeignKey",
    "CompositeModelForm",
    "CompositeOneToOneField",
    "FunctionBasedFieldValue",
    "RawFieldValue",
]
