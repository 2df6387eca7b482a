-- How TLS sessions with recipient domains went, one row for each day, domain, policy and result, until the domain has
-- had its report (RFC 8460). `day` counts from 1970 in UTC; `policy` is the JSON object of the report; an empty `result`
-- is success, and then the columns after it are empty too.
CREATE TABLE tls_sessions (
    day BIGINT NOT NULL,
    domain TEXT NOT NULL,
    policy TEXT NOT NULL,
    result TEXT NOT NULL,
    host TEXT NOT NULL,
    sending_ip TEXT NOT NULL,
    receiving_ip TEXT NOT NULL,
    reason TEXT NOT NULL,
    sessions BIGINT NOT NULL,
    PRIMARY KEY (day, domain, policy, result, host, sending_ip, receiving_ip, reason)
);

-- Whether the sender of a copy has been told that it is late: that is said once.
ALTER TABLE copies ADD COLUMN delay_told SMALLINT NOT NULL DEFAULT 0;
