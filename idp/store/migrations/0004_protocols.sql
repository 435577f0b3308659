-- What the protocols must remember.

CREATE TABLE spent (            -- single-use values that were used: AuthnRequest IDs
  org TEXT NOT NULL,
  kind TEXT NOT NULL,
  app TEXT NOT NULL,
  value TEXT NOT NULL,
  expires BIGINT NOT NULL,
  PRIMARY KEY (org, kind, app, value)
);
CREATE INDEX spent_expires ON spent (expires);

CREATE TABLE participant (      -- which apps got an assertion under a session
  org TEXT NOT NULL,
  session TEXT NOT NULL,
  app TEXT NOT NULL,
  session_index TEXT NOT NULL,
  name_id TEXT NOT NULL,        -- JSON
  at BIGINT NOT NULL,
  PRIMARY KEY (org, session, app)
);
CREATE INDEX participant_at ON participant (at);

CREATE TABLE persistent_id (    -- pairwise persistent NameIDs; kept when the user is deleted, so none is ever given twice
  org TEXT NOT NULL,
  entity_id TEXT NOT NULL,
  usr TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (org, entity_id, usr),
  UNIQUE (org, entity_id, value)
);
CREATE INDEX persistent_id_usr ON persistent_id (org, usr);

CREATE TABLE code (
  org TEXT NOT NULL,
  id TEXT NOT NULL,             -- time-ordered; the code is id.secret
  hash BYTEA NOT NULL,
  app TEXT NOT NULL,
  usr TEXT NOT NULL,
  grant_id TEXT NOT NULL,       -- what it becomes
  redeemed BOOLEAN NOT NULL,
  expires BIGINT NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (org, id)
);
CREATE INDEX code_expires ON code (expires);
CREATE INDEX code_usr ON code (org, usr);

CREATE TABLE grants (
  org TEXT NOT NULL,
  id TEXT NOT NULL,             -- time-ordered; a refresh token is id.secret
  app TEXT NOT NULL,
  usr TEXT NOT NULL,
  session TEXT NOT NULL,        -- '' where no browser took part
  org_epoch BIGINT NOT NULL,
  usr_epoch BIGINT NOT NULL,
  app_epoch BIGINT NOT NULL,
  installation_epoch BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  hash BYTEA,
  previous BYTEA,
  successor BYTEA,
  rotated BIGINT NOT NULL,
  unused BIGINT NOT NULL,       -- dead if not refreshed until then; 0 for no such end
  absolute BIGINT NOT NULL,     -- dead then in any case; 0 for no such end
  created BIGINT NOT NULL,
  last_used BIGINT NOT NULL,
  ends BIGINT NOT NULL,         -- when the sweeper may take it: nothing it gave is alive then
  doc TEXT NOT NULL,
  PRIMARY KEY (org, id)
);
CREATE INDEX grants_app ON grants (org, app);
CREATE INDEX grants_usr ON grants (org, usr);
CREATE INDEX grants_ends ON grants (ends);

CREATE TABLE token (
  org TEXT NOT NULL,
  id TEXT NOT NULL,             -- time-ordered; an access token is ORG!id.secret
  hash BYTEA NOT NULL,
  grant_id TEXT NOT NULL,
  scopes TEXT NOT NULL,
  created BIGINT NOT NULL,
  expires BIGINT NOT NULL,
  PRIMARY KEY (org, id)
);
CREATE INDEX token_grant ON token (org, grant_id);
CREATE INDEX token_expires ON token (expires);

CREATE TABLE registration_token (
  org TEXT NOT NULL,
  id TEXT NOT NULL,
  hash BYTEA NOT NULL,
  app TEXT NOT NULL,
  kind TEXT NOT NULL,           -- initial or registration
  name TEXT NOT NULL,
  created BIGINT NOT NULL,
  last_used BIGINT NOT NULL,
  PRIMARY KEY (org, id)
);
CREATE INDEX registration_token_app ON registration_token (org, app);
