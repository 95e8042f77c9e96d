-- Role, database and rights for KB Ingest. Run once, as an administrator of the server:
--   psql -h HOST -U postgres -v password="'a long random word'" -f docs/postgresql.sql
-- It may be run again: what is there stays.

SELECT 'CREATE ROLE kb LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kb') \gexec
ALTER ROLE kb PASSWORD :password;
SELECT 'CREATE DATABASE kb OWNER kb' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'kb') \gexec

\connect kb
-- The tables of the library: kb_items and others, in the schema public.
GRANT USAGE, CREATE ON SCHEMA public TO kb;
-- The tables of the queue's engine, in a schema of their own.
CREATE SCHEMA IF NOT EXISTS dbos AUTHORIZATION kb;
-- Tables that another role made before belong to kb from now on.
SELECT format('ALTER TABLE %I.%I OWNER TO kb', schemaname, tablename) FROM pg_tables
WHERE (schemaname = 'public' AND tablename LIKE 'kb\_%') OR schemaname = 'dbos' \gexec
