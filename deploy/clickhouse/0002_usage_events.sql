-- Events as people should read them: each once, as it was last sent, without knowing of FINAL.
-- The settings keep a reader's own bounds on timestamp from leaving out the part that holds the
-- newer row (ARCHITECTURE.md, "The tables"); here they hold whatever the reader's query sets.
CREATE VIEW IF NOT EXISTS usage_events AS
SELECT
    tenant,
    event_id,
    event_name,
    external_customer_id,
    customer_id,
    source,
    timestamp,
    properties
FROM events FINAL
SETTINGS
    apply_prewhere_after_final = 0,
    defer_partition_pruning_after_final = 1,
    do_not_merge_across_partitions_select_final = 0,
    enable_automatic_decision_for_merging_across_partitions_for_final = 0,
    optimize_move_to_prewhere_if_final = 0,
    use_skip_indexes_if_final_exact_mode = 1;
