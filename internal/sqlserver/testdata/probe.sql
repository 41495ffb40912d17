SET NOCOUNT ON;
SELECT CONVERT(int, SERVERPROPERTY('ProductMajorVersion')) AS [probe.major], CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')) AS version, CONVERT(nvarchar(128), SERVERPROPERTY('Edition')) AS edition, CONVERT(int, SERVERPROPERTY('EngineEdition')) AS engine_edition, CONVERT(int, SERVERPROPERTY('IsHadrEnabled')) AS hadr_enabled, CASE WHEN N'a' = N'A' THEN 0 ELSE 1 END AS case_sensitive;
BEGIN TRY
EXEC sp_executesql N'SELECT host_platform AS [platform.name] FROM sys.dm_os_host_info';
END TRY
BEGIN CATCH
SELECT N'platform' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
BEGIN TRY
EXEC sp_executesql N'SELECT encrypt_option AS [connection.encrypted] FROM sys.dm_exec_connections WHERE session_id = @@SPID';
END TRY
BEGIN CATCH
SELECT N'connection' AS [failed.part], ERROR_NUMBER() AS number, ERROR_MESSAGE() AS message;
END CATCH;
