SET NOCOUNT ON;
DECLARE @held int, @bad int, @name nvarchar(128), @refusal nvarchar(2048);
SET @held = 0;
IF EXISTS (SELECT 1 FROM sys.dm_os_sys_info AS i WHERE @@SERVERNAME = N'ONPREM1' AND CONVERT(varchar(30), i.sqlserver_start_time, 126) = '2026-01-02T03:04:05.006')
BEGIN
SET @held = @held + 1;
END
ELSE
BEGIN
THROW 51001, N'this is not ONPREM1 as it started at 2026-01-02T03:04:05.006', 1;
END;
IF EXISTS (SELECT 1 WHERE APPLOCK_MODE(N'dbo', N'lock/DAG', N'Session') = N'Exclusive')
BEGIN
SET @held = @held + 1;
END
ELSE
BEGIN
THROW 51002, N'the lock is not held by this session', 1;
END;
IF EXISTS (SELECT 1 FROM sys.extended_properties AS p WHERE p.class = 0 AND p.name = N'cutover_webhook run DAG' AND CONVERT(nvarchar(4000), p.value) = N'run-1')
BEGIN
SET @held = @held + 1;
END
ELSE
BEGIN
THROW 51003, N'the run id in master is not run-1', 1;
END;
IF EXISTS (SELECT 1 FROM sys.availability_groups AS g INNER JOIN sys.dm_hadr_availability_replica_states AS s ON s.group_id = g.group_id WHERE g.is_distributed = 0 AND g.name = N'OnPremAG' AND s.is_local = 1 AND s.role = 1)
BEGIN
SET @held = @held + 1;
END
ELSE
BEGIN
THROW 51004, N'this instance is not PRIMARY of OnPremAG', 1;
END;
IF EXISTS (SELECT 1 FROM sys.availability_groups AS g INNER JOIN sys.availability_replicas AS r ON r.group_id = g.group_id WHERE g.is_distributed = 1 AND g.name = N'DAG' AND r.replica_server_name = N'OnPremAG')
BEGIN
SET @held = @held + 1;
END
ELSE
BEGIN
THROW 51005, N'OnPremAG is not a member of DAG', 1;
END;
IF EXISTS (SELECT 1 FROM sys.availability_groups AS g INNER JOIN sys.dm_hadr_availability_replica_states AS s ON s.group_id = g.group_id WHERE g.is_distributed = 1 AND g.name = N'DAG' AND s.is_local = 1 AND s.role = 2)
BEGIN
SET @held = @held + 1;
END
ELSE
BEGIN
THROW 51006, N'this side is not SECONDARY in DAG', 1;
END;
SET @bad = -1;
SET @name = NULL;
SELECT @bad = COUNT(*), @name = MIN(v.name) FROM (VALUES (N'db001'), (N'it''s ]')) AS v(name) LEFT JOIN (SELECT c.database_name FROM sys.availability_groups AS g INNER JOIN sys.availability_databases_cluster AS c ON c.group_id = g.group_id WHERE g.is_distributed = 0 AND g.name = N'OnPremAG') AS c ON c.database_name = v.name WHERE c.database_name IS NULL;
IF @bad = 0
BEGIN
SET @held = @held + 1;
END
ELSE
BEGIN
SET @refusal = N'planned, but not in the availability group: ' + ISNULL(@name, N'?');
THROW 51007, @refusal, 1;
END;
SET @bad = -1;
SET @name = NULL;
SELECT @bad = COUNT(*), @name = MIN(c.database_name) FROM (SELECT c.database_name FROM sys.availability_groups AS g INNER JOIN sys.availability_databases_cluster AS c ON c.group_id = g.group_id WHERE g.is_distributed = 0 AND g.name = N'OnPremAG') AS c LEFT JOIN (VALUES (N'db001'), (N'it''s ]')) AS v(name) ON v.name = c.database_name WHERE v.name IS NULL;
IF @bad = 0
BEGIN
SET @held = @held + 1;
END
ELSE
BEGIN
SET @refusal = N'in the availability group, but not planned: ' + ISNULL(@name, N'?');
THROW 51007, @refusal, 1;
END;
IF EXISTS (SELECT 1 FROM sys.availability_groups AS g WHERE g.is_distributed = 1 AND g.name = N'DAG' AND g.required_synchronized_secondaries_to_commit = 0)
BEGIN
SET @held = @held + 1;
END
ELSE
BEGIN
THROW 51008, N'required_synchronized_secondaries_to_commit of DAG is not 0', 1;
END;
IF @held = 9
BEGIN
ALTER AVAILABILITY GROUP [DAG] FORCE_FAILOVER_ALLOW_DATA_LOSS;
END
ELSE
BEGIN
THROW 51010, N'not every guard could be judged', 1;
END;
