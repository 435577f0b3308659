-- The person at the browser.

CREATE TABLE session (
  org TEXT NOT NULL,
  id TEXT NOT NULL,             -- time-ordered; the cookie is id.secret
  hash BYTEA NOT NULL,          -- SHA-256 of the secret
  usr TEXT NOT NULL,
  org_epoch BIGINT NOT NULL,
  usr_epoch BIGINT NOT NULL,
  auth_time BIGINT NOT NULL,
  seen BIGINT NOT NULL,
  expires BIGINT NOT NULL,      -- absolute end
  doc TEXT NOT NULL,
  PRIMARY KEY (org, id)
);
CREATE INDEX session_usr ON session (org, usr);
CREATE INDEX session_expires ON session (expires);

CREATE TABLE browser (          -- a browser at which this user has signed in: throttling never locks it out
  org TEXT NOT NULL,
  hash BYTEA NOT NULL,
  usr TEXT NOT NULL,
  seen BIGINT NOT NULL,
  PRIMARY KEY (org, hash, usr)
);
CREATE INDEX browser_seen ON browser (seen);

CREATE TABLE throttle (         -- failures counted per account and per address, across nodes
  org TEXT NOT NULL,
  name TEXT NOT NULL,           -- 'account:…', 'address:…'
  failures BIGINT NOT NULL,
  since BIGINT NOT NULL,        -- of the first failure counted
  until BIGINT NOT NULL,        -- refused until then; 0 for not
  PRIMARY KEY (org, name)
);
CREATE INDEX throttle_since ON throttle (since);

CREATE TABLE consent (
  org TEXT NOT NULL,
  usr TEXT NOT NULL,
  app TEXT NOT NULL,
  scopes TEXT NOT NULL,         -- space separated
  given BIGINT NOT NULL,
  PRIMARY KEY (org, usr, app)
);

CREATE TABLE link (             -- what is sent to a person once: set-up
  org TEXT NOT NULL,
  id TEXT NOT NULL,
  hash BYTEA NOT NULL,
  kind TEXT NOT NULL,
  usr TEXT NOT NULL,            -- '' for the first administrator
  expires BIGINT NOT NULL,
  PRIMARY KEY (org, id)
);
CREATE INDEX link_expires ON link (expires);

CREATE TABLE login (            -- a judged protocol request that waits for its person
  org TEXT NOT NULL,
  id TEXT NOT NULL,             -- time-ordered
  kind TEXT NOT NULL,           -- saml or oidc
  app TEXT NOT NULL,
  browser BYTEA,                -- hash of the browser's secret, NULL until the first GET of continue
  answered BOOLEAN NOT NULL,
  created BIGINT NOT NULL,
  expires BIGINT NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (org, id)
);
CREATE INDEX login_expires ON login (expires);
