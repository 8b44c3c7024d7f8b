-- What each kind of user may do. 'tally users apply' fills in the braces: {events_here} is
-- events_local on a cluster, else events. A star in a GRANT covers the cluster's _local tables.

-- The consumer.
CREATE ROLE IF NOT EXISTS tally_write {on_cluster};
GRANT {on_cluster} SELECT, INSERT ON {database}.events* TO tally_write;
GRANT {on_cluster} SELECT, INSERT ON {database}.event_ids* TO tally_write;

-- The query service. It sends settings with every read, which readonly = 1 would refuse; with 2
-- it reads only, and the bounds here hold: a limit of 0 would be none, hence each MIN. What
-- exactness hangs on is pinned to the values that the service sends. On a cluster it reads the
-- first replica that lives of each shard: an insert shows on one replica a moment before it is on
-- all, and pages from here and there would go back in time.
CREATE SETTINGS PROFILE IF NOT EXISTS tally_read {on_cluster};
ALTER SETTINGS PROFILE tally_read {on_cluster} SETTINGS
    readonly = 2 CONST,
    allow_ddl = 0 CONST,
    max_execution_time = 30 MIN 1 MAX 300,
    max_memory_usage = 4294967296 MIN 1048576 MAX 17179869184,
    max_rows_to_read = 10000000000 MIN 1 MAX 10000000000,
    load_balancing = 'in_order',
    prefer_localhost_replica = 0,
    apply_prewhere_after_final = 0 CONST,
    do_not_merge_across_partitions_select_final = 1 CONST,
    optimize_move_to_prewhere_if_final = 0 CONST,
    use_skip_indexes_if_final_exact_mode = 1 CONST;
CREATE ROLE IF NOT EXISTS tally_read {on_cluster};
ALTER ROLE tally_read {on_cluster} SETTINGS PROFILE 'tally_read';
GRANT {on_cluster} SELECT ON {database}.events* TO tally_read;
GRANT {on_cluster} SELECT ON {database}.event_ids* TO tally_read;

-- Analysts: the limits only. What they may select is granted to each user, beside a policy that
-- shows it one tenant's rows; a grant to the role would show every tenant's to whoever has it
-- without such a policy. Quotas and these limits bound cost, not what is seen: a SETTINGS clause
-- in a subquery gets past them.
CREATE SETTINGS PROFILE IF NOT EXISTS tally_analyst {on_cluster};
ALTER SETTINGS PROFILE tally_analyst {on_cluster} SETTINGS
    readonly = 2 CONST,
    allow_ddl = 0 CONST,
    allow_introspection_functions = 0 CONST,
    max_concurrent_queries_for_user = 8 CONST,
    use_query_condition_cache = 0 CONST,
    max_execution_time = 60 MIN 1 MAX 60,
    max_memory_usage = 4294967296 MIN 1048576 MAX 4294967296,
    max_rows_to_read = 1000000000 MIN 1 MAX 1000000000;
CREATE ROLE IF NOT EXISTS tally_analyst {on_cluster};
ALTER ROLE tally_analyst {on_cluster} SETTINGS PROFILE 'tally_analyst';

-- Where a table has a policy, a server may hide all rows from users without one. This shows them;
-- an analyst's own policy restricts what it shows. On a cluster both stand on the tables that hold
-- the rows: ClickHouse refuses to read a Distributed table with a policy of its own.
CREATE ROW POLICY IF NOT EXISTS tally_all {on_cluster} ON {database}.{events_here}
    USING 1 AS PERMISSIVE TO ALL;
