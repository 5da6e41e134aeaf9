"""Many rows at once: COPY, UNLOAD, MERGE, ALTER TABLE APPEND, ANALYZE and VACUUM."""

from horizon_shards.backends.redshift.bulk.copying import CopyFailed, LoadError, copy_from_s3, jsonpaths
from horizon_shards.backends.redshift.bulk.merging import bulk_merge
from horizon_shards.backends.redshift.bulk.reading import Reading
from horizon_shards.backends.redshift.bulk.staged import Merged, merge_from_s3
from horizon_shards.backends.redshift.bulk.tables import analyze, append_from, vacuum
from horizon_shards.backends.redshift.bulk.unloading import unload_to_s3

__all__ = [
    "CopyFailed",
    "LoadError",
    "Merged",
    "Reading",
    "analyze",
    "append_from",
    "bulk_merge",
    "copy_from_s3",
    "jsonpaths",
    "merge_from_s3",
    "unload_to_s3",
    "vacuum",
]
