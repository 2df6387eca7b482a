-- The last delivery to each domain that proved its host, as a place in the decision log; known from here on.
CREATE TABLE contacts (
    domain TEXT PRIMARY KEY,
    seq BIGINT NOT NULL
);

-- Who may ask over HTTP. `hash` is keyed; the token itself is nowhere.
CREATE TABLE tokens (
    name TEXT PRIMARY KEY,
    hash BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    last_peer TEXT
);
