SET NOCOUNT ON;
SELECT CONVERT(nvarchar(128), @@SERVERNAME) AS [server.name], SUSER_SNAME() AS login, HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW SERVER STATE') AS view_state, HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW SERVER PERFORMANCE STATE') AS view_performance_state, HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW ANY DEFINITION') AS view_definition;
BEGIN TRY
EXEC sp_executesql N'SELECT CONVERT(varchar(30), sqlserver_start_time, 126) AS [start.time] FROM sys.dm_os_sys_info';
END TRY
BEGIN CATCH
SELECT N'start' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
BEGIN TRY
EXEC sp_executesql N'SELECT CONVERT(varchar(36), g.group_id) AS [replica.group_id], g.name, g.is_distributed, r.replica_server_name, s.is_local, s.role
FROM sys.availability_groups AS g INNER JOIN sys.availability_replicas AS r ON r.group_id = g.group_id
LEFT JOIN sys.dm_hadr_availability_replica_states AS s ON s.group_id = r.group_id AND s.replica_id = r.replica_id';
END TRY
BEGIN CATCH
SELECT N'replica' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
BEGIN TRY
EXEC sp_executesql N'SELECT CONVERT(varchar(36), g.group_id) AS [name.group_id], g.name, g.is_distributed, r.replica_server_name
FROM sys.availability_groups AS g INNER JOIN sys.availability_replicas AS r ON r.group_id = g.group_id';
END TRY
BEGIN CATCH
SELECT N'name' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
BEGIN TRY
EXEC sp_executesql N'SELECT g.name AS [database.ag], c.database_name FROM sys.availability_groups AS g INNER JOIN sys.availability_databases_cluster AS c ON c.group_id = g.group_id';
END TRY
BEGIN CATCH
SELECT N'database' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
