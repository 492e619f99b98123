-- Sealed lists of names and values, and the template of a hook's own body.
ALTER TABLE hooks ADD COLUMN custom_headers BYTEA, ADD COLUMN url_variables BYTEA, ADD COLUMN body_template TEXT;
