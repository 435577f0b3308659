-- The engine's own tables. (schema, which says what has been migrated, is made by the code that reads it.)

CREATE TABLE change (           -- n is added to with every change of a definition of that kind; every node reads it
  kind TEXT NOT NULL PRIMARY KEY,
  n BIGINT NOT NULL
);

CREATE TABLE meta (             -- what there is one of in the whole database
  name TEXT NOT NULL PRIMARY KEY,
  value BYTEA NOT NULL
);
