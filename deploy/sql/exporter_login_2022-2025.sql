-- The login of dag_exporter on SQL Server 2022 and 2025: the least rights that
-- let it read what it exports. It can change nothing and read no row of any
-- database.
--
-- Run it on EVERY instance of both sides: logins live in master, which no
-- availability group replicates (contained ones apart), and after a local
-- failover the exporter logs in to another instance.
--
--   sqlcmd -S INSTANCE -v password="…" -i exporter_login_2022-2025.sql
--
-- A password with a ' has to be written with two.
USE master;
GO
IF SUSER_ID(N'dag_exporter') IS NULL
    CREATE LOGIN [dag_exporter] WITH PASSWORD = N'$(password)', DEFAULT_DATABASE = [master], CHECK_POLICY = ON, CHECK_EXPIRATION = OFF;
GO
-- All sys.dm_hadr_… views and counters. 2022 split this off VIEW SERVER STATE,
-- which is enough too, and more than needed.
GRANT VIEW SERVER PERFORMANCE STATE TO [dag_exporter];
-- Availability groups, replicas, their databases, and endpoint certificates.
-- Without it their rows are missing without a word.
GRANT VIEW ANY DEFINITION TO [dag_exporter];
GO
-- Optional. sys.dm_exec_connections belongs to the other half of VIEW SERVER
-- STATE. Without it mssql_dag_connection_encrypted is absent, nothing else.
-- GRANT VIEW SERVER SECURITY STATE TO [dag_exporter];
-- GO
