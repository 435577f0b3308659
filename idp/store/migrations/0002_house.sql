-- The house: orgs, people, apps and what binds them. One text for SQLite and PostgreSQL: TEXT, BIGINT (microseconds since
-- 1970, or plain numbers), BYTEA, BOOLEAN. Every row of an org has org, and every unique key of it begins with org, but
-- for client_id, which is one namespace on the whole server. `doc` columns are JSON that no query looks into.
-- epoch: a session or grant carries the epochs it was made under and is dead when one differs.

CREATE TABLE org (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  url TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  doc TEXT NOT NULL
);

CREATE TABLE named (            -- groups, profiles, permission sets, scopes
  org TEXT NOT NULL,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (org, kind, id),
  UNIQUE (org, kind, name)
);

CREATE TABLE usr (
  org TEXT NOT NULL,
  id TEXT NOT NULL,
  username TEXT NOT NULL,
  email TEXT NOT NULL,
  active BOOLEAN NOT NULL,
  service BOOLEAN NOT NULL,
  epoch BIGINT NOT NULL,
  password TEXT NOT NULL,       -- PHC string, '' for none
  doc TEXT NOT NULL,            -- with the ids of its profile, permission sets and groups: one row says all a decision needs
  created BIGINT NOT NULL,
  changed BIGINT NOT NULL,
  PRIMARY KEY (org, id)
);

CREATE TABLE login_name (       -- usernames and e-mail addresses are one namespace: what one signs in with
  org TEXT NOT NULL,
  name TEXT NOT NULL,           -- idp.NameKey
  usr TEXT NOT NULL,
  PRIMARY KEY (org, name)
);
CREATE INDEX login_name_usr ON login_name (org, usr);

CREATE TABLE member (           -- the index of usr.doc: who has this profile, permission set, group, or was made for this app
  org TEXT NOT NULL,
  kind TEXT NOT NULL,
  ref TEXT NOT NULL,            -- named.id
  usr TEXT NOT NULL,
  PRIMARY KEY (org, kind, ref, usr)
);
CREATE INDEX member_usr ON member (org, usr);

CREATE TABLE app (
  org TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  api_name TEXT NOT NULL,
  parent TEXT NOT NULL,         -- '' or app.id
  children BIGINT NOT NULL,     -- how many apps have this one as parent: the limit is one conditional UPDATE
  epoch BIGINT NOT NULL,
  doc TEXT NOT NULL,
  secret BYTEA,                 -- sealed client secret; NULL for none
  metadata BYTEA,               -- SP metadata as it was uploaded, byte for byte; NULL for none
  created BIGINT NOT NULL,
  last_used BIGINT NOT NULL,    -- 0 for never
  PRIMARY KEY (org, id),
  UNIQUE (org, api_name)
);
CREATE INDEX app_parent ON app (org, parent);

CREATE TABLE client (
  id TEXT NOT NULL PRIMARY KEY, -- client_id, unique on the whole server
  org TEXT NOT NULL,
  app TEXT NOT NULL
);
CREATE INDEX client_app ON client (org, app);

CREATE TABLE acs (              -- several apps may carry one entity ID, as long as no ACS URL is in two of them
  org TEXT NOT NULL,
  entity_id TEXT NOT NULL,
  url TEXT NOT NULL,
  app TEXT NOT NULL,
  PRIMARY KEY (org, entity_id, url)
);
CREATE INDEX acs_app ON acs (org, app);

CREATE TABLE installation (
  org TEXT NOT NULL,
  app TEXT NOT NULL,
  blocked BOOLEAN NOT NULL,
  epoch BIGINT NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (org, app)
);

CREATE TABLE signing_key (
  org TEXT NOT NULL,
  id TEXT NOT NULL,             -- kid
  purpose TEXT NOT NULL,        -- oidc or saml
  state TEXT NOT NULL,          -- next, active, retiring
  sealed BYTEA NOT NULL,
  public BYTEA NOT NULL,
  certificate BYTEA,
  created BIGINT NOT NULL,
  changed BIGINT NOT NULL,
  PRIMARY KEY (org, id)
);
-- Nodes that make or rotate keys at once: one of them wins.
CREATE UNIQUE INDEX signing_key_state ON signing_key (org, purpose, state) WHERE state <> 'retiring';

CREATE TABLE event (
  id TEXT NOT NULL PRIMARY KEY, -- time-ordered
  org TEXT NOT NULL,
  at BIGINT NOT NULL,
  code TEXT NOT NULL,
  usr TEXT NOT NULL,
  app TEXT NOT NULL,
  ip TEXT NOT NULL,
  outcome TEXT NOT NULL,
  reason TEXT NOT NULL,
  reference TEXT NOT NULL,
  actor TEXT NOT NULL
);
CREATE INDEX event_reference ON event (org, reference);
CREATE INDEX event_usr ON event (org, usr, id);
CREATE INDEX event_app ON event (org, app, id);
