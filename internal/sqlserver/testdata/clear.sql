SET NOCOUNT ON;
DECLARE @held int;
SET @held = 0;
IF EXISTS (SELECT 1 FROM sys.availability_groups AS g INNER JOIN sys.dm_hadr_availability_replica_states AS s ON s.group_id = g.group_id WHERE g.is_distributed = 0 AND g.name = N'OnPremAG' AND s.is_local = 1 AND s.role = 1)
BEGIN
SET @held = @held + 1;
END
ELSE
BEGIN
THROW 51004, N'this instance is not PRIMARY of OnPremAG', 1;
END;
IF EXISTS (SELECT 1 FROM sys.availability_groups AS g WHERE g.is_distributed = 1 AND g.name = N'DAG' AND g.group_id = '0c1d2e3f-0000-4000-8000-0123456789ab')
BEGIN
SET @held = @held + 1;
END
ELSE
BEGIN
THROW 51005, N'another group of this name: DAG is not 0c1d2e3f-0000-4000-8000-0123456789ab', 1;
END;
IF @held = 2
BEGIN
ALTER AVAILABILITY GROUP [DAG] SET (REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = 0);
END
ELSE
BEGIN
THROW 51010, N'not every guard could be judged', 1;
END;
