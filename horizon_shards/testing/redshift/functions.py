"""The functions of Redshift, by the lists of AWS' documentation (SQL functions reference)."""

from __future__ import annotations

# https://docs.aws.amazon.com/redshift/latest/dg/c_Aggregate_Functions.html
AGGREGATE = """
any_value approximate_percentile_disc avg count listagg max median min percentile_cont percentile_disc stddev
stddev_pop stddev_samp sum var_pop var_samp variance bit_and bit_or bool_and bool_or
"""
# https://docs.aws.amazon.com/redshift/latest/dg/c_Window_functions.html
WINDOW = """
cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank ratio_to_report row_number
"""
# https://docs.aws.amazon.com/redshift/latest/dg/c_conditional_expressions.html
CONDITIONAL = "coalesce decode greatest least nvl nvl2 nullif"
# https://docs.aws.amazon.com/redshift/latest/dg/Date_functions_header.html
DATE = """
add_months convert_timezone current_date date_cmp date_cmp_timestamp date_cmp_timestamptz date_part date_part_year
date_trunc dateadd datediff date_diff extract getdate interval_cmp last_day months_between next_day sysdate timeofday
timestamp_cmp timestamp_cmp_date timestamp_cmp_timestamptz timestamptz_cmp timestamptz_cmp_date
timestamptz_cmp_timestamp timezone to_timestamp trunc datepart
"""
# https://docs.aws.amazon.com/redshift/latest/dg/Math_functions.html
MATH = """
abs acos asin atan atan2 cbrt ceil ceiling cos cot degrees dexp div dlog1 dlog10 exp floor ln log mod pi pow power
radians random round sign sin sqrt tan trunc
"""
# https://docs.aws.amazon.com/redshift/latest/dg/String_functions_header.html
STRING = """
ascii bpcharcmp bttext_pattern_cmp btrim bttrim charindex char_length character_length chr collate concat crc32
difference initcap left len length textlen lower lpad ltrim octetindex octet_length position quote_ident quote_literal
regexp_count regexp_instr regexp_replace regexp_substr repeat replace replicate reverse right rpad rtrim soundex
split_part strpos strtol substr substring translate trim upper
"""
# https://docs.aws.amazon.com/redshift/latest/dg/super-functions.html and json-functions.html
SUPER = """
array array_concat array_flatten get_array_length split_to_array subarray array_contains array_distinct array_position
decimal_precision decimal_scale is_array is_bigint is_boolean is_char is_decimal is_float is_integer is_object
is_scalar is_smallint is_varchar json_size json_typeof size json_serialize json_serialize_to_varbyte object
lower_attribute_names upper_attribute_names object_transform get_number_attributes can_json_parse is_valid_json
is_valid_json_array json_array_length json_extract_array_element_text json_extract_path_text json_parse
"""
# hash-functions.html, varbyte-functions.html and r_Data_type_formatting.html of the same guide
OTHER = """
checksum farmfingerprint64 farmhash64 fnv_hash func_sha1 sha sha1 sha2 md5 murmur3_32_hash from_hex from_varbyte
getbit to_hex to_varbyte cast convert text_to_int_alt text_to_numeric_alt to_char to_date to_number try_cast
"""
# https://docs.aws.amazon.com/redshift/latest/dg/r_System_administration_functions.html, System information functions
SYSTEM = """
change_query_priority change_session_priority change_user_priority current_setting pg_cancel_backend
pg_terminate_backend reboot_cluster set_config current_aws_account current_database current_namespace current_schema
current_schemas current_session_arn current_user current_user_id has_database_privilege has_schema_privilege
has_table_privilege has_assumerole_privilege pg_backend_pid pg_get_cols pg_get_late_binding_view_cols
pg_last_copy_count pg_last_copy_id pg_last_query_id pg_last_unload_count pg_last_unload_id slice_num session_user
user user_is_member_of user_last_login version role_is_member_of
"""

_LISTS = (AGGREGATE, WINDOW, CONDITIONAL, DATE, MATH, STRING, SUPER, OTHER, SYSTEM)
FUNCTIONS = frozenset(name for names in _LISTS for name in names.split())

#: Aggregates that need a frame over an order.
#: https://docs.aws.amazon.com/redshift/latest/dg/r_Window_function_synopsis.html
FRAMED = frozenset(
    [
        "avg",
        "count",
        "max",
        "min",
        "stddev",
        "stddev_pop",
        "stddev_samp",
        "sum",
        "var_pop",
        "var_samp",
        "variance",
        "first_value",
        "last_value",
        "nth_value",
    ]
)

#: Run on the leader node alone: not in a query that reads a table of the user's.
#: https://docs.aws.amazon.com/redshift/latest/dg/c_SQL_functions_leader_node_only.html
LEADER_ONLY = frozenset(
    [
        "now",
        "current_timestamp",
        "localtime",
        "localtimestamp",
        "current_schema",
        "current_schemas",
        "has_database_privilege",
        "has_schema_privilege",
        "has_table_privilege",
        "array_length",
        "array_to_string",
    ]
)

#: The same of what is written without parentheses.
LEADER_WORDS = frozenset(["CURRENT_TIMESTAMP", "CURRENT_TIME", "LOCALTIMESTAMP", "LOCALTIME"])

#: Words before a parenthesis that are no functions.
SYNTAX = frozenset(
    [
        "add",
        "all",
        "analyze",
        "and",
        "any",
        "as",
        "between",
        "by",
        "case",
        "char",
        "character",
        "check",
        "column",
        "columns",
        "compound",
        "copy",
        "create",
        "decimal",
        "default",
        "delete",
        "dist",
        "distinct",
        "distkey",
        "distribution",
        "else",
        "end",
        "except",
        "exists",
        "filter",
        "foreign",
        "from",
        "group",
        "having",
        "identity",
        "in",
        "inner",
        "insert",
        "interleaved",
        "intersect",
        "interval",
        "into",
        "is",
        "join",
        "key",
        "like",
        "limit",
        "minus",
        "not",
        "null",
        "numeric",
        "nvarchar",
        "nchar",
        "bpchar",
        "on",
        "or",
        "order",
        "over",
        "partition",
        "primary",
        "references",
        "rows",
        "select",
        "set",
        "similar",
        "some",
        "sortkey",
        "table",
        "then",
        "time",
        "timestamp",
        "timestamptz",
        "timetz",
        "top",
        "union",
        "unique",
        "update",
        "using",
        "values",
        "varbinary",
        "varbyte",
        "varchar",
        "varying",
        "when",
        "where",
        "with",
        "within",
        "qualify",
        "when",
        "qualify",
        "explain",
        "unload",
        "view",
        "materialized",
        "constraint",
        "append",
        "matched",
        "merge",
        "offset",
        "encode",
        "float",
        "vacuum",
        "precision",
        "double",
    ]
)
