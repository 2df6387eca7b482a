-- One text for SQLite and PostgreSQL. Ids are raw bytes, times are milliseconds since 1970, words are closed sets.
-- Columns named sealed, header, facts, wrap, code_wrap, recovery hold ciphertext; recipient, message_id and
-- principal hold keyed pseudonyms.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

-- sealed is NULL when the body lies in a file of its own (bodies/b<id>).
CREATE TABLE bodies (
    id BYTEA PRIMARY KEY,
    size_bytes BIGINT NOT NULL,
    sealed BYTEA
);
CREATE INDEX bodies_in_files ON bodies (id, size_bytes) WHERE sealed IS NULL;

-- One recipient's copy. A finished copy keeps its row and loses body, header, facts and wrap.
CREATE TABLE copies (
    id BYTEA PRIMARY KEY,
    message BYTEA NOT NULL,
    kind TEXT NOT NULL,
    class SMALLINT NOT NULL,
    state TEXT NOT NULL,
    is_open SMALLINT NOT NULL,
    next_at BIGINT,
    attempts BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    last_reason TEXT,
    received_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    domain TEXT NOT NULL,
    recipient TEXT NOT NULL,
    message_id TEXT NOT NULL,
    parcel BYTEA,
    escrowed_as BYTEA,
    body BYTEA,
    wrap BYTEA,
    facts BYTEA,
    header BYTEA
);
CREATE INDEX copies_open ON copies (state, class, next_at, received_at) WHERE is_open = 1;
CREATE INDEX copies_body ON copies (body) WHERE body IS NOT NULL;
CREATE INDEX copies_message ON copies (message);
CREATE INDEX copies_message_id ON copies (message_id);
CREATE INDEX copies_received ON copies (received_at);

-- A closed parcel keeps its row and loses code, recovery, facts and content.
CREATE TABLE parcels (
    id BYTEA PRIMARY KEY,
    number_hash BYTEA NOT NULL UNIQUE,
    copy_id BYTEA NOT NULL,
    message BYTEA NOT NULL,
    recipient TEXT NOT NULL,
    message_id TEXT NOT NULL,
    domain TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    closed_at BIGINT,
    is_closed SMALLINT NOT NULL,
    first_opened_at BIGINT,
    notice_sent_at BIGINT,
    notice_failed SMALLINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    last_try_at BIGINT,
    code_salt BYTEA,
    code_wrap BYTEA,
    spoken_hash BYTEA,
    recovery BYTEA,
    facts BYTEA
);
CREATE INDEX parcels_open ON parcels (created_at) WHERE is_closed = 0;
CREATE INDEX parcels_created ON parcels (created_at);
CREATE INDEX parcels_spoken ON parcels (spoken_hash) WHERE spoken_hash IS NOT NULL;

-- sealed is NULL when the body lies in a file of its own (bodies/p<id>).
CREATE TABLE parcel_content (
    parcel BYTEA PRIMARY KEY,
    size_bytes BIGINT NOT NULL,
    header BYTEA NOT NULL,
    sealed BYTEA
);
CREATE INDEX parcel_content_in_files ON parcel_content (parcel, size_bytes) WHERE sealed IS NULL;

-- The decision log. `chained` is hashed as it stands; the pseudonyms beside it are what it commits to.
CREATE TABLE log (
    seq BIGINT PRIMARY KEY,
    message BYTEA,
    chained TEXT NOT NULL,
    hash BYTEA NOT NULL,
    message_id TEXT,
    principal TEXT,
    recipient TEXT
);
CREATE INDEX log_message ON log (message) WHERE message IS NOT NULL;

CREATE TABLE heads (
    number BIGINT PRIMARY KEY,
    size BIGINT NOT NULL,
    last_hash BYTEA NOT NULL,
    signed TEXT NOT NULL
);

CREATE TABLE users (
    name TEXT PRIMARY KEY,
    verifier TEXT NOT NULL,
    may_send_as TEXT NOT NULL,
    bound_address TEXT,
    is_first SMALLINT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    last_peer TEXT
);

CREATE TABLE sts (
    domain TEXT PRIMARY KEY,
    sealed BYTEA NOT NULL
);

CREATE TABLE starttls (
    domain TEXT PRIMARY KEY,
    seen_at BIGINT NOT NULL
);
