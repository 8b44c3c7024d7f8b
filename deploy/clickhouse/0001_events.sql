-- Why each line is as it is: ARCHITECTURE.md, "The tables".

-- On a cluster, sharded by: sipHash64(tenant, event_id)
CREATE TABLE IF NOT EXISTS events
(
    tenant               LowCardinality(String),
    event_id             String,
    event_name           LowCardinality(String),
    external_customer_id String,
    customer_id          String,
    source               LowCardinality(String),
    timestamp            DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    properties           String CODEC(ZSTD(1)),
    version              UInt64,
    is_deleted           UInt8,
    kh                   UInt128 MATERIALIZED reinterpretAsUInt128(
        sipHash128(toStartOfHour(timestamp), external_customer_id, event_id)),

    INDEX event_id_bloom event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX properties_text properties TYPE text(tokenizer = 'splitByNonAlpha'),
    PROJECTION by_customer (SELECT * ORDER BY (tenant, external_customer_id, timestamp))
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMMDD(toStartOfHour(timestamp))
ORDER BY (tenant, toStartOfHour(timestamp), external_customer_id, kh)
SETTINGS index_granularity = 2048,
    deduplicate_merge_projection_mode = 'rebuild',
    min_age_to_force_merge_seconds = 3600,
    min_age_to_force_merge_on_partition_only = 1,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    old_parts_lifetime = 480;

-- On a cluster, sharded by: h1
CREATE TABLE IF NOT EXISTS event_ids
(
    h1       UInt64 CODEC(NONE),
    h2       UInt64 CODEC(NONE),
    hour     DateTime('UTC'),
    customer String,
    version  UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (h1, h2, hour, customer)
SETTINGS index_granularity = 512,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    old_parts_lifetime = 480;
