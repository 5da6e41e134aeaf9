"""What Redshift can and cannot do, as data."""

from __future__ import annotations

from typing import Any

from django.db import DataError
from django.db.backends.postgresql.features import DatabaseFeatures as PostgreSQLFeatures


class DatabaseFeatures(PostgreSQLFeatures):
    """Differences from PostgreSQL; a flag that a new Django adds is inherited."""

    # Redshift answers that it is PostgreSQL 8.0.2.
    minimum_database_version = (8,)

    # INSERT and UPDATE have no RETURNING, no ON CONFLICT; there are no sequences.
    can_return_columns_from_insert = False
    can_return_rows_from_bulk_insert = False
    can_return_rows_from_update = False
    supports_ignore_conflicts = False
    supports_update_conflicts = False
    supports_update_conflicts_with_target = False
    supports_sequence_reset = False

    # Nothing is locked by a SELECT, and there are no savepoints.
    has_select_for_update = False
    has_select_for_update_nowait = False
    has_select_for_update_of = False
    has_select_for_update_skip_locked = False
    has_select_for_no_key_update = False
    uses_savepoints = False
    can_release_savepoints = False

    # Types.
    has_native_uuid_field = False
    has_native_duration_field = False
    # SUPER has paths of its own, not PostgreSQL's operators.
    has_json_operators = False
    supports_json_field_contains = False
    supports_no_precision_decimalfield = False
    supports_unlimited_charfield = False
    supports_collation_on_charfield = False
    supports_collation_on_textfield = False
    supports_non_deterministic_collations = False
    supports_virtual_generated_columns = False
    supports_stored_generated_columns = False
    test_collations: dict[str, str | None] = dict.fromkeys(
        ("deterministic", "ci", "cs", "non_default", "swedish_ci", "virtual")
    )

    # Constraints are hints to the planner that nothing enforces; there are no indexes.
    enforces_foreign_key_constraints = False
    supports_foreign_keys = True
    can_create_inline_fk = False
    can_defer_constraint_checks = False
    supports_column_check_constraints = False
    supports_table_check_constraints = False
    can_introspect_check_constraints = False
    supports_partial_indexes = False
    supports_covering_indexes = False
    supports_expression_indexes = False
    supports_functions_in_partial_indexes = False
    indexes_foreign_keys = False
    supports_index_on_text_field = False
    supports_index_column_ordering = False
    supports_deferrable_unique_constraints = False
    supports_nulls_distinct_unique_constraints = False
    supports_partially_nullable_unique_constraints = True
    supports_on_delete_db_cascade = False
    supports_on_delete_db_default = False
    supports_on_delete_db_null = False
    can_rename_index = False
    allows_multiple_constraints_on_same_fields = True

    # Queries.
    can_distinct_on_fields = False
    supports_aggregate_filter_clause = False
    supports_aggregate_order_by_clause = True
    supports_frame_range_fixed_distance = False
    only_supports_unbounded_with_preceding_and_following = True
    supports_frame_exclusion = False
    supports_default_in_lead_lag = False
    supports_tuple_lookups = False
    supports_tuple_comparison_against_subquery = False
    supports_any_value = True
    supports_bit_aggregations = False
    supported_explain_formats: set[str] = set()
    # AWS lists what the operator ~ knows (pattern-matching-conditions-posix), and back references are not among it.
    supports_regex_backreferencing = False
    allows_group_by_selected_pks = False
    supports_uuid4_function = False
    supports_uuid7_function = False
    supports_uuid7_function_shift = False
    supports_uuid4_function_in_default = False

    # Schema.
    supports_combined_alters = False
    supports_tablespaces = False
    can_clone_databases = False
    can_introspect_materialized_views = False
    supports_expression_defaults = True
    create_test_procedure_without_params_sql = None
    create_test_procedure_with_int_param_sql = None

    test_now_utc_template = "CAST(GETDATE() AS TIMESTAMP WITH TIME ZONE) AT TIME ZONE 'UTC'"
    prohibits_null_characters_in_text_exception = (DataError, "Redshift text cannot contain NUL (0x00) characters.")

    @property
    def django_test_skips(self) -> dict[str, set[str]]:
        """No test of Django's is skipped for Redshift by name."""
        return {}

    @property
    def django_test_expected_failures(self) -> set[str]:
        """No test of Django's is expected to fail by name."""
        return set()

    @property
    def introspected_field_types(self) -> dict[str, Any]:
        """Field types that come back as others: their columns are alike."""
        return {
            **super().introspected_field_types,
            "AutoField": "AutoField",
            "BinaryField": "BinaryField",
            "DurationField": "BigIntegerField",
            "GenericIPAddressField": "CharField",
            "SmallAutoField": "AutoField",
            "UUIDField": "CharField",
        }
