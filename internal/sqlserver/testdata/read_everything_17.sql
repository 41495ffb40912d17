SET NOCOUNT ON;
BEGIN TRY
EXEC sp_executesql N'SELECT CONVERT(nvarchar(128), @@SERVERNAME) AS [begin.server_name], CONVERT(varchar(30), i.sqlserver_start_time, 126) AS start_time, CONVERT(varchar(36), s.replica_id) AS replica_id, s.role AS role, SYSUTCDATETIME() AS utc, HAS_PERMS_BY_NAME(NULL, NULL, ''VIEW SERVER STATE'') AS view_state, HAS_PERMS_BY_NAME(NULL, NULL, ''VIEW SERVER PERFORMANCE STATE'') AS view_performance_state, HAS_PERMS_BY_NAME(NULL, NULL, ''VIEW ANY DEFINITION'') AS view_definition
FROM sys.dm_os_sys_info AS i LEFT JOIN (SELECT s.replica_id, s.group_id, s.role FROM sys.dm_hadr_availability_replica_states AS s INNER JOIN sys.availability_groups AS g ON g.group_id = s.group_id WHERE s.is_local = 1 AND g.is_distributed = 0 AND g.name = N''OnPremAG'') AS s ON 1 = 1';
END TRY
BEGIN CATCH
SELECT N'begin' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
BEGIN TRY
EXEC sp_executesql N'SELECT CONVERT(varchar(36), g.group_id) AS [group.group_id], g.name, g.is_distributed, CASE WHEN g.is_distributed = 1 AND g.name = N''DAG'' THEN 1 WHEN g.is_distributed = 0 AND g.name = N''OnPremAG'' THEN 2 ELSE 0 END AS kind, g.cluster_type, g.required_synchronized_secondaries_to_commit, g.sequence_number, g.is_contained
FROM sys.availability_groups AS g';
END TRY
BEGIN CATCH
SELECT N'group' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
BEGIN TRY
EXEC sp_executesql N'SELECT CONVERT(varchar(36), r.group_id) AS [member.group_id], CONVERT(varchar(36), r.replica_id) AS replica_id, r.replica_server_name, r.endpoint_url, r.availability_mode, r.failover_mode_desc, r.seeding_mode_desc, r.session_timeout, s.is_local, s.role, s.connected_state, s.operational_state_desc, s.synchronization_health, s.last_connect_error_number, s.last_connect_error_description, CASE WHEN r.replica_server_name = N''OnPremAG'' THEN 1 ELSE 0 END AS is_local_ag
FROM sys.availability_replicas AS r
INNER JOIN sys.availability_groups AS g ON g.group_id = r.group_id
LEFT JOIN sys.dm_hadr_availability_replica_states AS s ON s.group_id = r.group_id AND s.replica_id = r.replica_id
WHERE g.is_distributed = 1 OR g.name = N''OnPremAG''';
END TRY
BEGIN CATCH
SELECT N'member' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
BEGIN TRY
EXEC sp_executesql N'SELECT c.database_name AS [database.name], CONVERT(varchar(36), c.group_database_id) AS group_database_id, d.database_id, d.state, CONVERT(nvarchar(60), DATABASEPROPERTYEX(c.database_name, ''Updateability'')) AS updateability, d.log_reuse_wait_desc, s.is_database_joined
FROM sys.availability_groups AS g
INNER JOIN sys.availability_databases_cluster AS c ON c.group_id = g.group_id
LEFT JOIN sys.databases AS d ON d.name = c.database_name
LEFT JOIN sys.dm_hadr_availability_replica_states AS l ON l.group_id = g.group_id AND l.is_local = 1
LEFT JOIN sys.dm_hadr_database_replica_cluster_states AS s ON s.group_database_id = c.group_database_id AND s.replica_id = l.replica_id
WHERE g.is_distributed = 0 AND g.name = N''OnPremAG''';
END TRY
BEGIN CATCH
SELECT N'database' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
BEGIN TRY
EXEC sp_executesql N'SELECT CASE WHEN g.is_distributed = 1 THEN 1 ELSE 0 END AS [row.dag], r.database_id, CONVERT(varchar(36), r.group_database_id) AS group_database_id, CONVERT(varchar(36), r.replica_id) AS replica_id, a.replica_server_name, r.is_local, r.is_primary_replica, r.synchronization_state, r.synchronization_health, r.database_state, r.is_suspended, r.suspend_reason_desc, CONVERT(varchar(30), r.last_sent_lsn) AS last_sent_lsn, CONVERT(varchar(30), r.last_received_lsn) AS last_received_lsn, CONVERT(varchar(30), r.last_hardened_lsn) AS last_hardened_lsn, CONVERT(varchar(30), r.last_redone_lsn) AS last_redone_lsn, CONVERT(varchar(30), r.end_of_log_lsn) AS end_of_log_lsn, CONVERT(varchar(30), r.last_commit_lsn) AS last_commit_lsn, CONVERT(varchar(30), r.truncation_lsn) AS truncation_lsn, CONVERT(varchar(30), r.recovery_lsn) AS recovery_lsn, r.last_commit_time, r.log_send_queue_size, r.log_send_rate, r.redo_queue_size, r.redo_rate, r.secondary_lag_seconds
FROM sys.dm_hadr_database_replica_states AS r
INNER JOIN sys.availability_groups AS g ON g.group_id = r.group_id
LEFT JOIN sys.availability_replicas AS a ON a.group_id = r.group_id AND a.replica_id = r.replica_id
WHERE (g.is_distributed = 0 AND g.name = N''OnPremAG'') OR (g.is_distributed = 1 AND g.name = N''DAG'')';
END TRY
BEGIN CATCH
SELECT N'row' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
BEGIN TRY
EXEC sp_executesql N'SELECT RTRIM(p.instance_name) AS [log.database], RTRIM(p.counter_name) AS counter, p.cntr_value
FROM sys.dm_os_performance_counters AS p
WHERE p.object_name LIKE N''%:Databases%'' AND p.counter_name IN (N''Log File(s) Size (KB)'', N''Log File(s) Used Size (KB)'', N''Log Bytes Flushed/sec'', N''Write Transactions/sec'')
AND p.instance_name IN (SELECT c.database_name FROM sys.availability_databases_cluster AS c INNER JOIN sys.availability_groups AS g ON g.group_id = c.group_id WHERE g.is_distributed = 0 AND g.name = N''OnPremAG'')';
END TRY
BEGIN CATCH
SELECT N'log' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
BEGIN TRY
EXEC sp_executesql N'SELECT COALESCE(c.database_name, p.local_database_name) AS [seeding.database], s.current_state, s.failure_state_desc, s.start_time, s.completion_time, p.transferred_size_bytes, p.database_size_bytes, p.estimate_time_complete_utc
FROM sys.dm_hadr_automatic_seeding AS s
INNER JOIN sys.availability_groups AS g ON g.group_id = s.ag_id
LEFT JOIN sys.availability_databases_cluster AS c ON c.group_database_id = s.ag_db_id
LEFT JOIN sys.dm_hadr_physical_seeding_stats AS p ON p.local_physical_seeding_id = s.operation_id
WHERE g.name = N''OnPremAG'' OR g.name = N''DAG''
ORDER BY s.start_time DESC';
END TRY
BEGIN CATCH
SELECT N'seeding' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
BEGIN TRY
EXEC sp_executesql N'SELECT c.name AS [certificate.name], c.expiry_date
FROM sys.database_mirroring_endpoints AS e INNER JOIN sys.certificates AS c ON c.certificate_id = e.certificate_id';
END TRY
BEGIN CATCH
SELECT N'certificate' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
BEGIN TRY
EXEC sp_executesql N'SELECT SUSER_SNAME() AS [rights.login], IS_SRVROLEMEMBER(''sysadmin'') AS sysadmin, HAS_PERMS_BY_NAME(N''[DAG]'', ''AVAILABILITY GROUP'', ''ALTER'') AS alter_dag';
END TRY
BEGIN CATCH
SELECT N'rights' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
BEGIN TRY
EXEC sp_executesql N'SELECT d.name AS [transaction.database], st.session_id, es.login_name, es.program_name, es.host_name, es.status, DATEDIFF(second, t.database_transaction_begin_time, GETDATE()) AS open_seconds, t.database_transaction_log_record_count, t.database_transaction_log_bytes_used, st.is_user_transaction
FROM sys.dm_tran_database_transactions AS t
INNER JOIN sys.databases AS d ON d.database_id = t.database_id
LEFT JOIN sys.dm_tran_session_transactions AS st ON st.transaction_id = t.transaction_id
LEFT JOIN sys.dm_exec_sessions AS es ON es.session_id = st.session_id
WHERE t.database_transaction_log_record_count > 0 AND d.name IN (SELECT c.database_name FROM sys.availability_databases_cluster AS c INNER JOIN sys.availability_groups AS g ON g.group_id = c.group_id WHERE g.is_distributed = 0 AND g.name = N''OnPremAG'')';
END TRY
BEGIN CATCH
SELECT N'transaction' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
BEGIN TRY
EXEC sp_executesql N'SELECT d.name AS [lineage.database], CONVERT(varchar(36), r.family_guid) AS family_guid, CONVERT(varchar(36), r.recovery_fork_guid) AS recovery_fork_guid
FROM sys.database_recovery_status AS r INNER JOIN sys.databases AS d ON d.database_id = r.database_id
WHERE d.name IN (SELECT c.database_name FROM sys.availability_databases_cluster AS c INNER JOIN sys.availability_groups AS g ON g.group_id = c.group_id WHERE g.is_distributed = 0 AND g.name = N''OnPremAG'')';
END TRY
BEGIN CATCH
SELECT N'lineage' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
BEGIN TRY
EXEC sp_executesql N'SELECT CONVERT(nvarchar(4000), p.value) AS [marker.run] FROM sys.extended_properties AS p WHERE p.class = 0 AND p.name = N''cutover_webhook run DAG''';
END TRY
BEGIN CATCH
SELECT N'marker' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
BEGIN TRY
EXEC sp_executesql N'SELECT CONVERT(nvarchar(128), @@SERVERNAME) AS [end.server_name], CONVERT(varchar(30), i.sqlserver_start_time, 126) AS start_time, CONVERT(varchar(36), s.replica_id) AS replica_id, s.role AS role
FROM sys.dm_os_sys_info AS i LEFT JOIN (SELECT s.replica_id, s.group_id, s.role FROM sys.dm_hadr_availability_replica_states AS s INNER JOIN sys.availability_groups AS g ON g.group_id = s.group_id WHERE s.is_local = 1 AND g.is_distributed = 0 AND g.name = N''OnPremAG'') AS s ON 1 = 1';
END TRY
BEGIN CATCH
SELECT N'end' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
