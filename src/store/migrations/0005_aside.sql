-- uncertain_host: was sent a copy's final dot and never answered it. NULL: nobody was.
ALTER TABLE copies ADD COLUMN uncertain_host TEXT;

-- Rows that can no longer be read. They stay where they are, marked by 2 in is_open or is_closed, so that nothing asks
-- for them again and nothing they need is removed.
CREATE TABLE damaged (
    kind TEXT NOT NULL,
    id BYTEA NOT NULL,
    what TEXT NOT NULL,
    found_at BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);
