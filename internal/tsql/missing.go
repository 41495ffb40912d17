package tsql

import "strings"

// What SQL Server has and this package has not is said in plain words (50900), where 195 or 2812 would say that there is no such thing.

func words(text string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(text) {
		m[w] = true
	}
	return m
}

// missingFunctions are SQL Server's own functions that neither this package nor, when it is asked first, the host knows.
var missingFunctions = words(`ACOS ASIN ATAN ATN2 COT DEGREES RADIANS BINARY_CHECKSUM CERTENCODED CERTPRIVATEKEY COLLATIONPROPERTY COLUMNPROPERTY COL_LENGTH COL_NAME
	COMPRESS CONNECTIONPROPERTY CONTEXT_INFO CURRENT_DATE CURRENT_REQUEST_ID CURRENT_TRANSACTION_ID CURRENT_TIMEZONE_ID DATABASE_PRINCIPAL_ID DATE_BUCKET DATETIME2FROMPARTS DATETIMEFROMPARTS
	DATETIMEOFFSETFROMPARTS DATETRUNC DECOMPRESS DIFFERENCE EVENTDATA FILEGROUPPROPERTY FILEGROUP_ID FILEGROUP_NAME FILEPROPERTY FILE_ID FILE_IDEX FILE_NAME FULLTEXTCATALOGPROPERTY
	FULLTEXTSERVICEPROPERTY GET_BIT GET_FILESTREAM_TRANSACTION_CONTEXT GETANSINULL GREATEST HAS_DBACCESS HOST_ID IDENT_CURRENT IDENT_INCR IDENT_SEED INDEXKEY_PROPERTY
	INDEXPROPERTY INDEX_COL ISJSON IS_ROLEMEMBER IS_OBJECTSIGNED JSON_ARRAY JSON_MODIFY JSON_OBJECT JSON_PATH_EXISTS JSON_QUERY JSON_VALUE LEAST LEFT_SHIFT LOGINPROPERTY MIN_ACTIVE_ROWVERSION
	NEWSEQUENTIALID OBJECTPROPERTY OBJECTPROPERTYEX OBJECT_DEFINITION OBJECT_NAME OBJECT_SCHEMA_NAME ORIGINAL_DB_NAME PARSE PERMISSIONS PERCENTILE_CONT PERCENTILE_DISC PUBLISHINGSERVERNAME PWDCOMPARE PWDENCRYPT
	REGEXP_COUNT REGEXP_INSTR REGEXP_LIKE REGEXP_REPLACE REGEXP_SUBSTR RIGHT_SHIFT SCHEMA_ID SCHEMA_NAME SESSION_CONTEXT SESSION_ID SESSIONPROPERTY SET_BIT SMALLDATETIMEFROMPARTS SOUNDEX STATS_DATE SUSER_ID
	SUSER_NAME SUSER_SID TERTIARY_WEIGHTS TEXTPTR TEXTVALID TIMEFROMPARTS TODATETIMEOFFSET TRANSLATE TRIGGER_NESTLEVEL TRY_PARSE TYPEPROPERTY TYPE_ID TYPE_NAME  UNISTR USER_ID VERIFYSIGNEDBYASYMKEY
	BIT_COUNT DATABASEPROPERTY`)

// missingAggregates are aggregates that are recognised as such, and refused.
var missingAggregates = words(`CHECKSUM_AGG GROUPING GROUPING_ID APPROX_COUNT_DISTINCT`)

// missingTableFunctions are table-valued functions of SQL Server's own.
var missingTableFunctions = words(`OPENJSON GENERATE_SERIES CONTAINSTABLE FREETEXTTABLE OPENDATASOURCE CHANGETABLE PREDICT`)

// missingProcedures are system procedures, by their names; the prefixes sp_help, sp_add, sp_drop, sp_change, sp_cdc_, sp_trace_, sp_oa, sp_xml_, sp_describe_, sp_cursor and xp_ stand for their families.
var missingProcedures = words(`sp_configure sp_msforeachdb sp_msforeachtable sp_send_dbmail sp_start_job sp_stop_job sp_databases sp_tables sp_tables_ex sp_columns sp_columns_100 sp_columns_90 sp_stored_procedures
	sp_sproc_columns sp_sproc_columns_100 sp_pkeys sp_fkeys sp_statistics sp_statistics_100 sp_special_columns sp_special_columns_100 sp_server_info sp_lock sp_spaceused sp_recompile sp_rename sp_renamedb sp_dboption
	sp_linkedservers sp_serveroption sp_testlinkedserver sp_readerrorlog sp_cycle_errorlog sp_updatestats sp_validatelogins sp_availability_group_command_internal sp_invoke_diagnostics sp_server_diagnostics
	sp_update_jobstep sp_update_job sp_set_database_firewall_rule sp_unsetapprole sp_setapprole sp_grantdbaccess sp_revokedbaccess sp_bindefault sp_bindrule sp_monitor sp_detach_db
	sp_attach_db sp_defaultdb sp_defaultlanguage sp_password sp_refreshview sp_settriggerorder sp_resetstatus sp_certify_removable sp_createstats sp_autostats sp_depends sp_getbindtoken sp_bindsession
	sp_prepexecrpc sp_catalogs sp_indexes sp_foreignkeys sp_primarykeys sp_altermessage sp_estimate_data_compression_savings sp_query_store_flush_db sp_persistent_version_cleanup`)

func (c *compiler) missingTable(f *tableFunc) {
	name := strings.ToUpper(f.path[len(f.path)-1])
	switch {
	case name == "STRING_SPLIT":
		notImplemented(c.line(f.line), "STRING_SPLIT with an ordinal")
	case len(f.path) == 1 && missingTableFunctions[name]:
		notImplemented(c.line(f.line), "the table function "+name)
	}
}

func missingProcedure(name string) bool {
	name = strings.ToLower(name)
	if missingProcedures[name] {
		return true
	}
	for _, prefix := range []string{"sp_help", "sp_add", "sp_drop", "sp_change", "sp_cdc_", "sp_trace_", "sp_oa", "sp_xml_", "sp_describe_", "sp_cursor", "xp_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
