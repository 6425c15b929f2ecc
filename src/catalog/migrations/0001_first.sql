-- Nodes. A key is ours and never reused. `parent` is NULL for the root of a profile, and only a
-- root names its profile. With `relative` = 1 the provider's id is the parent's id followed by `id`.
CREATE TABLE nodes (
    key          INTEGER PRIMARY KEY,
    parent       INTEGER REFERENCES nodes (key) ON DELETE CASCADE,
    profile      TEXT,
    id           TEXT    NOT NULL,
    relative     INTEGER NOT NULL,
    name         TEXT    NOT NULL,
    kind         INTEGER NOT NULL, -- 0 directory, 1 file
    size         INTEGER NOT NULL,
    modified     INTEGER NOT NULL, -- milliseconds since the epoch
    created      INTEGER NOT NULL,
    version      TEXT    NOT NULL,
    handle       TEXT,
    fingerprints TEXT,             -- JSON [[kind, value, origin, provider, at], ...]
    attrs        TEXT,             -- JSON, local attributes with their version
    has_raw      INTEGER NOT NULL
);
CREATE INDEX nodes_parent ON nodes (parent);
CREATE INDEX nodes_id ON nodes (id) WHERE relative = 0;

-- The provider's own record, apart so that listings read dense rows.
CREATE TABLE node_raw (
    node INTEGER PRIMARY KEY REFERENCES nodes (key) ON DELETE CASCADE,
    raw  TEXT NOT NULL
);

-- Directories that were listed to the end at least once.
CREATE TABLE listings (
    dir        INTEGER PRIMARY KEY REFERENCES nodes (key) ON DELETE CASCADE,
    fetched_at INTEGER NOT NULL,
    complete   INTEGER NOT NULL
);

-- What hangs on a node: negative entries, transfer results, error texts.
CREATE TABLE node_records (
    node    INTEGER NOT NULL REFERENCES nodes (key) ON DELETE CASCADE,
    kind    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    version TEXT    NOT NULL,
    text    TEXT    NOT NULL,
    PRIMARY KEY (node, kind, name)
) WITHOUT ROWID;

-- What hangs on a name: quotas and breakers by account, counters, the key reserve.
CREATE TABLE records (
    kind   TEXT    NOT NULL,
    name   TEXT    NOT NULL,
    number INTEGER NOT NULL,
    text   TEXT    NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;

-- The knowledge base: a content is a set of facts. `digest` is the value, or its SHA-256 when long.
CREATE TABLE contents (
    content INTEGER PRIMARY KEY,
    size    INTEGER NOT NULL
);
CREATE TABLE facts (
    content  INTEGER NOT NULL REFERENCES contents (content) ON DELETE CASCADE,
    kind     TEXT    NOT NULL,
    size     INTEGER NOT NULL,
    digest   TEXT    NOT NULL,
    value    TEXT    NOT NULL,
    origin   INTEGER NOT NULL,
    provider TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (content, kind)
) WITHOUT ROWID;
CREATE INDEX facts_digest ON facts (digest, kind, size);

-- Claims that were proven false.
CREATE TABLE distrusted (
    size  INTEGER NOT NULL,
    kind  TEXT    NOT NULL,
    value TEXT    NOT NULL,
    PRIMARY KEY (size, kind, value)
) WITHOUT ROWID;
