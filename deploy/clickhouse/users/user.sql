-- A user with a password, and a new password for one that exists.
CREATE USER IF NOT EXISTS {user} {on_cluster}
    IDENTIFIED WITH sha256_hash BY {hash} SALT {salt};
ALTER USER {user} {on_cluster}
    IDENTIFIED WITH sha256_hash BY {hash} SALT {salt}
    DEFAULT DATABASE {database};
GRANT {on_cluster} {role} TO {user};
ALTER USER {user} {on_cluster} DEFAULT ROLE {role};
