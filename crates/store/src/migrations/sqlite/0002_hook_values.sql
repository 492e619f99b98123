-- Sealed lists of names and values, and the template of a hook's own body.
ALTER TABLE hooks ADD COLUMN custom_headers BLOB;
ALTER TABLE hooks ADD COLUMN url_variables BLOB;
ALTER TABLE hooks ADD COLUMN body_template TEXT;
