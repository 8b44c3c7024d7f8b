-- The user first: from then on the policy restricts nobody.
DROP USER IF EXISTS {user} {on_cluster};
DROP ROW POLICY IF EXISTS {user} {on_cluster} ON {database}.{events_here};
