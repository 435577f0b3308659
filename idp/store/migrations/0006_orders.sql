-- What belongs to one person or app is listed by id. Without the id in its index SQLite reads all of the org by id instead.

CREATE INDEX session_usr_id ON session (org, usr, id);
DROP INDEX session_usr;
CREATE INDEX grants_app_id ON grants (org, app, id);
DROP INDEX grants_app;
CREATE INDEX grants_usr_id ON grants (org, usr, id);
DROP INDEX grants_usr;
CREATE INDEX app_parent_id ON app (org, parent, id);
DROP INDEX app_parent;
CREATE INDEX registration_token_app_id ON registration_token (org, app, id);
DROP INDEX registration_token_app;
