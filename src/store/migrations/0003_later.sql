-- later_level: the least proof at which a parcel may be sent by mail after all; NULL: it stays. sending_at: somebody
-- is at it, so that it cannot be opened or closed meanwhile. Quick however many rows there are.
ALTER TABLE parcels ADD COLUMN later_level TEXT;
ALTER TABLE parcels ADD COLUMN sending_at BIGINT;
ALTER TABLE parcels ADD COLUMN delivered_at BIGINT;
CREATE INDEX parcels_later ON parcels (domain, created_at)
    WHERE is_closed = 0 AND first_opened_at IS NULL AND later_level IS NOT NULL;

-- What each look at a domain with parcels showed, authenticated by the vault.
CREATE TABLE domain_checks (
    domain TEXT NOT NULL,
    at BIGINT NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (domain, at)
);

-- The best that a domain showed lately, and when its falling short of it was last told.
CREATE TABLE domains (
    domain TEXT PRIMARY KEY,
    standing TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    alarmed_at BIGINT
);
INSERT INTO domains (domain, standing, seen_at) SELECT domain, 'starttls', seen_at FROM starttls;
