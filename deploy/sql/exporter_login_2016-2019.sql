-- The login of dag_exporter on SQL Server 2016, 2017 and 2019: the least rights
-- that let it read everything it exports. It can change nothing and read no row
-- of any database.
--
-- Run it on EVERY instance of both sides: logins live in master, which no
-- availability group replicates, and after a local failover the exporter logs
-- in to another instance.
--
--   sqlcmd -S INSTANCE -v password="…" -i exporter_login_2016-2019.sql
--
-- A password with a ' has to be written with two.
USE master;
GO
IF SUSER_ID(N'dag_exporter') IS NULL
    CREATE LOGIN [dag_exporter] WITH PASSWORD = N'$(password)', DEFAULT_DATABASE = [master], CHECK_POLICY = ON, CHECK_EXPIRATION = OFF;
GO
-- All sys.dm_hadr_… views, counters, and whether the connection is encrypted.
GRANT VIEW SERVER STATE TO [dag_exporter];
-- Availability groups, replicas, their databases, and endpoint certificates.
-- Without it their rows are missing without a word.
GRANT VIEW ANY DEFINITION TO [dag_exporter];
GO
