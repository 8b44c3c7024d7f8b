-- An analyst: one tenant's rows of the view usage_events. The view reads as whoever asks, so the
-- columns under it are granted too; the policy is the server's first filter, before any of the
-- query's own conditions sees a row. It comes before the grants, so there is no moment without it.
CREATE USER {user} {on_cluster}
    IDENTIFIED WITH sha256_hash BY {hash} SALT {salt}
    DEFAULT DATABASE {database};
CREATE ROW POLICY OR REPLACE {user} {on_cluster} ON {database}.{events_here}
    USING tenant = {tenant} AS RESTRICTIVE TO {user};
GRANT {on_cluster} tally_analyst TO {user};
ALTER USER {user} {on_cluster} DEFAULT ROLE tally_analyst;
GRANT {on_cluster} SELECT ON {database}.usage_events TO {user};
GRANT {on_cluster} SELECT({columns}) ON {database}.events TO {user};
GRANT {on_cluster} SELECT({columns}) ON {database}.{events_here} TO {user};
