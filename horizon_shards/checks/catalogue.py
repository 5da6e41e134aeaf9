"""The ids of all system checks with their meaning; the docs are compared with this table in both directions."""

from __future__ import annotations

from typing import Any

from django.core import checks
from django.core.checks import CheckMessage

PREFIX = "horizon_shards"

#: Short id -> what is wrong. E: an error, W: a warning. An id is never used again for something else.
CATALOGUE: dict[str, str] = {
    "E101": "A logical database has a setting that is not known.",
    "E102": "A setting names a database that is not in DATABASES, or a logical one where a physical one is needed.",
    "E103": "A database is used twice as storage of shards.",
    "E104": "A setting of a logical database has a value that cannot work.",
    "E105": "The shards of a group have different engines.",
    "E106": "A directory is needed, and DIRECTORY is not set.",
    "E107": "The mapping of a logical database cannot be made.",
    "W108": "The directory shares a SQLite database with the rest of the project.",
    "E109": "DATABASE_ROUTERS does not name the shard router.",
    "W110": "The mapping, its directory and the settings do not fit together.",
    "W112": "A shard did not answer when its database was to be checked.",
    "E113": "An entry of HORIZON_SINKS cannot work.",
    "E114": "An entry of CACHES cannot work.",
    "E115": "An entry of TASKS cannot work.",
    "E116": "HORIZON_CONNECTIONS has a key or a value that cannot work.",
    "E120": "Transactions are to end in two phases on an engine that cannot.",
    "E121": "Transactions are to end in two phases on a server that prepares none.",
    "W122": "The processes together may open more connections than a server takes.",
    "W123": "A server that does not answer would be waited for without end.",
    "W124": "Several clusters of AWS's wrapper would share what it knows of one.",
    "W125": "A failover may lose what a shard has prepared for a transaction in two phases.",
    "E201": "A declaration of a model (class Sharding) is wrong.",
    "E202": "Sharding.database is not a logical database.",
    "E203": "The shard key names a field that does not exist or has no column.",
    "E204": "The shard key can be NULL.",
    "E205": "The shard key has a type that cannot be a key.",
    "W206": "A text key is compared by a collation that is not binary.",
    "W207": "A unique constraint holds for each shard only.",
    "E208": "The primary key of a sharded model is an auto-increment number.",
    "W209": "The primary key of a sharded model is unique for each shard only.",
    "E210": "A sharded or reference model takes part in multi-table inheritance.",
    "E211": "A ShardedModel or ReferenceModel is declared as the other kind, or not at all.",
    "E212": "The shard key is computed by the database.",
    "E301": "A foreign key has a database constraint to a table of another database.",
    "E302": "A foreign key has a database constraint to a row that may be on another shard.",
    "E303": "The on_delete handler of a foreign key looks for the children in the parent's database.",
    "E304": "The database is to cascade to rows that it does not hold.",
    "W305": "A relation joins two groups of shards.",
    "E306": "An automatic many-to-many table cannot tell its shard.",
    "E307": "A reference model has a foreign key to a sharded model.",
    "W308": "An unsharded model refers to rows on shards.",
    "E309": "An automatic many-to-many table joins a sharded and an unsharded model.",
    "E310": "A composite foreign key names a local field that does not exist or has no column.",
    "E311": "A composite foreign key is to become NULL, and none of its columns can.",
    "E312": "The on_delete of a composite foreign key cannot be carried out.",
    "W313": "A composite foreign key between two sharded models leaves the shard key out.",
    "W314": "No constraint of the database makes a composite one-to-one relation unique.",
    "E401": "class Redshift has a name or value that is not known.",
    "E402": "class Redshift names a field that has no column in the table.",
    "E403": "The distribution style and the distribution key contradict each other.",
    "E404": "A table is distributed or sorted by a column of JSON or bytes.",
    "E405": "The sort key has too many fields, or contradicts its style.",
    "E406": "A field cannot be encoded like this.",
    "W407": "The distribution key has few values at a time.",
    "W408": "The first column of the sort key is compressed.",
    "E409": "A table has more columns than Redshift can store.",
    "E410": "A column has the name of one of Redshift's own.",
    "W411": "Constraints are declared that nothing enforces.",
    "W412": "The primary key is too small for the keys that the client makes.",
}


def problem(code: str, message: str, *, hint: str, obj: Any = None) -> CheckMessage:
    """The check message with the short id ``code`` (``"E101"``); ``obj`` is the model, field or None."""
    if code not in CATALOGUE:
        raise KeyError(f"{code} is not in the catalogue of checks.")
    kind = checks.Error if code.startswith("E") else checks.Warning
    return kind(message, hint=hint, obj=obj, id=f"{PREFIX}.{code}")
