-- Two tables of one shape: through pgveil `every_type` is sealed and tokenised, `twin` is plain and direct.
CREATE TABLE every_type (
    id int PRIMARY KEY,
    t text,
    v varchar(20),
    i4 int4,
    i8 int8,
    n numeric(12,2),
    b bool,
    d date,
    ts timestamp,
    tz timestamptz,
    u uuid,
    bin bytea,
    j jsonb,
    phone text,
    mail text,
    note text,
    counter int NOT NULL DEFAULT 7
);
CREATE TABLE twin (LIKE every_type INCLUDING ALL);
CREATE TABLE plain (LIKE every_type INCLUDING ALL);
