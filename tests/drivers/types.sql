-- The types of attributes.txt that PostgreSQL does not have of its own.
CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('happy', 'so so', 'it''s ok', 'sad');
CREATE DOMAIN amount AS numeric(10,2);
