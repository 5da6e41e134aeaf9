-- What a PostgreSQL database needs to stand in for Redshift: types, functions, and the catalogue of storage attributes.
CREATE SCHEMA rs;
CREATE DOMAIN rs.super AS jsonb;

CREATE TABLE rs.stored (reloid oid PRIMARY KEY, diststyle int NOT NULL);
CREATE TABLE rs.stored_column (
    reloid oid, attnum int, encoding text, distkey boolean NOT NULL, sortkey int NOT NULL, PRIMARY KEY (reloid, attnum)
);
CREATE TABLE rs.declared (
    conname text, contype "char", conrelid oid, conkey smallint[], confrelid oid, confkey smallint[],
    PRIMARY KEY (conrelid, conname)
);

CREATE VIEW rs.pg_constraint AS
    SELECT d.* FROM rs.declared d JOIN pg_catalog.pg_class c ON c.oid = d.conrelid;
CREATE VIEW rs.pg_class_info AS
    SELECT c.oid AS reloid, c.relname, c.relnamespace, coalesce(s.diststyle, 11) AS reldiststyle
    FROM pg_catalog.pg_class c LEFT JOIN rs.stored s ON s.reloid = c.oid WHERE c.relkind = 'r';
CREATE VIEW rs.pg_table_def AS
    SELECT n.nspname AS schemaname, c.relname AS tablename, a.attname AS "column",
        pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, coalesce(s.encoding, 'none') AS encoding,
        coalesce(s.distkey, false) AS distkey, coalesce(s.sortkey, 0) AS sortkey, a.attnotnull AS "notnull"
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
    LEFT JOIN rs.stored_column s ON s.reloid = c.oid AND s.attnum = a.attnum
    WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
        AND n.nspname = ANY (pg_catalog.current_schemas(false)) AND n.nspname <> 'rs';
CREATE VIEW rs.pg_attrdef AS
    SELECT adrelid, adnum, pg_catalog.pg_get_expr(adbin, adrelid) AS adsrc FROM pg_catalog.pg_attrdef
    UNION ALL
    SELECT attrelid, attnum, '"identity"(' || attrelid || ', ' || attnum - 1 || ', ''1,1''::text)'
    FROM pg_catalog.pg_attribute WHERE attidentity <> '';

-- What the advisor reads; a test writes what is measured.
CREATE TABLE rs.measured (reloid oid PRIMARY KEY, skew_rows numeric, stats_off numeric, unsorted numeric);
CREATE VIEW rs.svv_table_info AS
    SELECT pg_catalog.current_database() AS database, n.nspname AS schema, c.oid AS table_id, c.relname AS "table",
        m.skew_rows, m.stats_off, m.unsorted
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN rs.measured m ON m.reloid = c.oid WHERE c.relkind = 'r' AND n.nspname = 'public';
CREATE TABLE rs.stl_alert_event_log (
    userid int, query int, slice int, segment int, step int, pid int, xid bigint, event varchar(1024),
    solution varchar(1024), event_time timestamp
);

-- Bulk loads.
CREATE SEQUENCE rs.query_number;
CREATE TABLE rs.stl_load_errors (
    userid int, slice int, tbl int, starttime timestamp, session int, query int, filename varchar(256),
    line_number bigint, colname varchar(127), type varchar(10), col_length varchar(10), position int,
    raw_line varchar(1024), raw_field_value varchar(1024), err_code int, err_reason varchar(100)
);
CREATE FUNCTION rs.pg_last_copy_count() RETURNS bigint LANGUAGE sql STABLE AS
    $$ SELECT coalesce(nullif(current_setting('rs.copied', true), ''), '0')::bigint $$;
CREATE FUNCTION rs.pg_last_unload_count() RETURNS bigint LANGUAGE sql STABLE AS
    $$ SELECT coalesce(nullif(current_setting('rs.unloaded', true), ''), '0')::bigint $$;
-- A late-binding view is bound to nothing: its SELECT is a text.
CREATE FUNCTION rs.late(query text) RETURNS SETOF record LANGUAGE plpgsql STABLE AS
    $$ BEGIN RETURN QUERY EXECUTE query; END $$;

-- Redshift's functions.
CREATE FUNCTION rs.getdate() RETURNS timestamp LANGUAGE sql STABLE AS
    $$ SELECT date_trunc('second', statement_timestamp()::timestamp) $$;
CREATE FUNCTION rs.dateadd(part text, number int, moment timestamp) RETURNS timestamp LANGUAGE sql IMMUTABLE AS
    $$ SELECT moment + number * ('1 ' || part)::interval $$;
CREATE FUNCTION rs.dateadd(part text, number int, moment timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT moment + number * ('1 ' || part)::interval $$;
CREATE FUNCTION rs.dateadd(part text, number int, moment time) RETURNS time LANGUAGE sql IMMUTABLE AS
    $$ SELECT moment + number * ('1 ' || part)::interval $$;
CREATE FUNCTION rs.boundary(part text, moment timestamp) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE lower(part)
        WHEN 'microsecond' THEN (extract(epoch FROM moment) * 1000000)::bigint
        WHEN 'millisecond' THEN floor(extract(epoch FROM moment) * 1000)::bigint
        WHEN 'second' THEN floor(extract(epoch FROM moment))::bigint
        WHEN 'minute' THEN floor(extract(epoch FROM moment) / 60)::bigint
        WHEN 'hour' THEN floor(extract(epoch FROM moment) / 3600)::bigint
        WHEN 'day' THEN floor(extract(epoch FROM moment) / 86400)::bigint
        WHEN 'month' THEN (extract(year FROM moment) * 12 + extract(month FROM moment))::bigint
        WHEN 'year' THEN extract(year FROM moment)::bigint
    END
$$;
CREATE FUNCTION rs.datediff(part text, a timestamp, b timestamp) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT rs.boundary(part, b) - rs.boundary(part, a) $$;
CREATE FUNCTION rs.datediff(part text, a timestamptz, b timestamptz) RETURNS bigint LANGUAGE sql STABLE AS
    $$ SELECT rs.boundary(part, b AT TIME ZONE 'UTC') - rs.boundary(part, a AT TIME ZONE 'UTC') $$;
CREATE FUNCTION rs.datediff(part text, a date, b date) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT rs.boundary(part, b::timestamp) - rs.boundary(part, a::timestamp) $$;
CREATE FUNCTION rs.datediff(part text, a time, b time) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT rs.boundary(part, '1970-01-01'::date + b) - rs.boundary(part, '1970-01-01'::date + a) $$;
CREATE FUNCTION rs.json_parse(document text) RETURNS rs.super LANGUAGE sql IMMUTABLE AS
    $$ SELECT document::jsonb::rs.super $$;
CREATE FUNCTION rs.json_serialize(document jsonb) RETURNS varchar LANGUAGE sql IMMUTABLE AS
    $$ SELECT document::text::varchar $$;
CREATE FUNCTION rs.json_typeof(document jsonb) RETURNS varchar LANGUAGE sql IMMUTABLE AS
    $$ SELECT jsonb_typeof(document)::varchar $$;
-- Redshift gives an empty text where the path leads nowhere.
CREATE FUNCTION rs.json_extract_path_text(document text, VARIADIC path text[]) RETURNS varchar LANGUAGE sql IMMUTABLE AS
    $$ SELECT CASE WHEN document IS NOT NULL THEN coalesce(document::jsonb #>> path, '') END::varchar $$;
CREATE FUNCTION rs.to_varbyte(digits text, format text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
    $$ SELECT decode(digits, CASE lower(format) WHEN 'hex' THEN 'hex' ELSE 'escape' END) $$;
CREATE FUNCTION rs.func_sha1(content text) RETURNS varchar LANGUAGE sql IMMUTABLE AS
    $$ SELECT encode(public.digest(content, 'sha1'), 'hex')::varchar $$;
CREATE FUNCTION rs.sha2(content text, bits int) RETURNS varchar LANGUAGE sql IMMUTABLE AS
    $$ SELECT encode(public.digest(content, 'sha' || bits), 'hex')::varchar $$;
CREATE FUNCTION rs.len(content text) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT length(content) $$;
CREATE FUNCTION rs.round(number double precision, places int) RETURNS double precision LANGUAGE sql IMMUTABLE AS
    $$ SELECT pg_catalog.round(number::numeric, places)::double precision $$;
CREATE FUNCTION rs.mod(a double precision, b double precision) RETURNS double precision LANGUAGE sql IMMUTABLE AS
    $$ SELECT pg_catalog.mod(a::numeric, b::numeric)::double precision $$;

CREATE FUNCTION rs.first_of(state anyelement, value anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE STRICT AS
    $$ SELECT state $$;
CREATE AGGREGATE rs.any_value(anyelement) (sfunc = rs.first_of, stype = anyelement);

-- AVG of whole numbers is a whole number.
CREATE FUNCTION rs.average(state numeric[], value bigint) RETURNS numeric[] LANGUAGE sql IMMUTABLE AS
    $$ SELECT CASE WHEN value IS NULL THEN state ELSE ARRAY[state[1] + value, state[2] + 1] END $$;
CREATE FUNCTION rs.averaged(state numeric[]) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT CASE WHEN state[2] > 0 THEN trunc(state[1] / state[2])::bigint END $$;
CREATE AGGREGATE rs.avg(bigint) (
    sfunc = rs.average, stype = numeric[], initcond = '{0,0}', finalfunc = rs.averaged
);
CREATE FUNCTION rs.average(state numeric[], value int) RETURNS numeric[] LANGUAGE sql IMMUTABLE AS
    $$ SELECT rs.average(state, value::bigint) $$;
CREATE AGGREGATE rs.avg(int) (sfunc = rs.average, stype = numeric[], initcond = '{0,0}', finalfunc = rs.averaged);
CREATE FUNCTION rs.average(state numeric[], value smallint) RETURNS numeric[] LANGUAGE sql IMMUTABLE AS
    $$ SELECT rs.average(state, value::bigint) $$;
CREATE AGGREGATE rs.avg(smallint) (sfunc = rs.average, stype = numeric[], initcond = '{0,0}', finalfunc = rs.averaged);

-- Decimals are cut off where they become whole numbers (AWS: r_enable_numeric_rounding); a superuser alone can say so.
CREATE FUNCTION rs.whole2(number numeric) RETURNS smallint LANGUAGE sql IMMUTABLE STRICT AS
    $$ SELECT pg_catalog.int2(pg_catalog.trunc(number)) $$;
CREATE FUNCTION rs.whole4(number numeric) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS
    $$ SELECT pg_catalog.int4(pg_catalog.trunc(number)) $$;
CREATE FUNCTION rs.whole8(number numeric) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS
    $$ SELECT pg_catalog.int8(pg_catalog.trunc(number)) $$;
DO $$ BEGIN
    IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
        UPDATE pg_catalog.pg_cast SET castfunc = ('rs.whole' || t.typlen)::regproc
        FROM pg_catalog.pg_type t
        WHERE castsource = 'numeric'::regtype AND t.oid = casttarget AND t.typname IN ('int2', 'int4', 'int8');
    END IF;
END $$;
