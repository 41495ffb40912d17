package tsql

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// construct is a line of the table in docs/lab.md: its example is run, so that the table says what is true.
type construct struct{ what, example string }

var understood = []struct {
	group string
	list  []construct
}{
	{"Queries", []construct{
		{"SELECT, DISTINCT, TOP (n) [PERCENT] [WITH TIES], aliases in all three styles", "SELECT DISTINCT TOP (3) n = name, database_id AS [id], state_desc 'state' FROM sys.databases ORDER BY name"},
		{"INNER, LEFT, RIGHT, FULL, CROSS and comma joins, nested joins, join and table hints (taken, without effect)", "SELECT 1 AS x FROM sys.databases a WITH (NOLOCK) FULL JOIN (sys.databases b INNER HASH JOIN sys.databases c ON c.name = b.name) ON b.name = a.name, sys.databases d"},
		{"CROSS APPLY, OUTER APPLY, also of table functions", "SELECT d.name FROM sys.databases d OUTER APPLY (SELECT TOP 1 replica_id FROM sys.dm_hadr_database_replica_states r WHERE r.database_id = d.database_id) x CROSS APPLY STRING_SPLIT(d.name, 'a') s"},
		{"WITH, also recursive; derived tables; VALUES as a table", "WITH n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i, v FROM n CROSS JOIN (VALUES (1), (2)) t(v)"},
		{"subqueries, EXISTS, IN, ANY, ALL", "SELECT 1 AS x WHERE EXISTS (SELECT 1 FROM sys.databases) AND 5 IN (SELECT database_id FROM sys.databases) AND 1 <= ALL (SELECT database_id FROM sys.databases)"},
		{"WHERE, BETWEEN, LIKE with classes and ESCAPE, IS NULL, CASE, COLLATE", "SELECT CASE WHEN name COLLATE Latin1_General_BIN2 LIKE '[a-m]%' ESCAPE '!' THEN 1 ELSE 0 END AS c FROM sys.databases WHERE database_id BETWEEN 1 AND 9 AND name IS NOT NULL"},
		{"GROUP BY, HAVING, aggregates with DISTINCT", "SELECT state_desc, COUNT(DISTINCT name) AS n FROM sys.databases GROUP BY state_desc HAVING COUNT(*) > 1"},
		{"window functions with PARTITION BY, ORDER BY, ROWS and RANGE", "SELECT SUM(database_id) OVER (PARTITION BY state_desc ORDER BY database_id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM sys.databases"},
		{"UNION [ALL], EXCEPT, INTERSECT; ORDER BY, OFFSET … FETCH", "SELECT name FROM sys.databases UNION ALL SELECT NULL ORDER BY name OFFSET 1 ROWS FETCH NEXT 2 ROWS ONLY"},
		{"FOR XML PATH with ROOT and TYPE, flat names; .value('.', 'type')", "SELECT (SELECT ',' + name FROM sys.databases FOR XML PATH(''), TYPE).value('.', 'nvarchar(max)') AS list"},
		{"OPTION (…): taken, without effect", "SELECT 1 AS x OPTION (RECOMPILE, MAXDOP 1)"},
	}},
	{"Variables and flow", []construct{
		{"DECLARE (also TABLE), SET, SELECT @x = …, += and its kin", "DECLARE @i int = 1, @t TABLE (a int NOT NULL DEFAULT 3); SET @i += 1; SELECT @i = database_id FROM sys.databases"},
		{"IF … ELSE, WHILE, BREAK, CONTINUE, BEGIN … END, RETURN", "DECLARE @i int = 0; WHILE @i < 3 BEGIN SET @i += 1; IF @i = 2 BREAK ELSE CONTINUE END; RETURN"},
		{"TRY … CATCH, THROW, RAISERROR with arguments, PRINT", "BEGIN TRY RAISERROR('%s %d', 16, 1, N'no', 7) END TRY BEGIN CATCH PRINT ERROR_MESSAGE() END CATCH"},
		{"WAITFOR DELAY, WAITFOR TIME", "WAITFOR DELAY '00:00:00.010'"},
		{"EXEC of text and of procedures with OUTPUT; sp_executesql, sp_prepare, sp_execute, sp_prepexec, sp_unprepare, sp_datatype_info", "DECLARE @n int; EXEC sp_executesql N'SELECT @n = 3', N'@n int OUTPUT', @n = @n OUTPUT; EXEC ('SELECT ' + '1 AS x')"},
		{"cursors by name: LOCAL, GLOBAL, STATIC, SCROLL, FAST_FORWARD; OPEN, FETCH in all directions, CLOSE, DEALLOCATE, CURSOR_STATUS", "DECLARE c CURSOR LOCAL FAST_FORWARD FOR SELECT name FROM sys.databases; DECLARE @n sysname; OPEN c; FETCH NEXT FROM c INTO @n; CLOSE c; DEALLOCATE c"},
		{"USE, SET options (those that change an answer: NOCOUNT, XACT_ABORT, IMPLICIT_TRANSACTIONS, ROWCOUNT, FMTONLY, NOEXEC; the others are taken)", "SET NOCOUNT, XACT_ABORT ON; SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; SET LOCK_TIMEOUT 1000; USE Sales"},
	}},
	{"Tables", []construct{
		{"CREATE TABLE #t with IDENTITY, DEFAULT, keys (taken, not enforced); DROP TABLE [IF EXISTS], TRUNCATE TABLE, CREATE INDEX on #t", "CREATE TABLE #t (id int IDENTITY(1, 1) PRIMARY KEY, s varchar(9) DEFAULT 'x'); CREATE INDEX i ON #t (s); TRUNCATE TABLE #t; DROP TABLE IF EXISTS #t, #u"},
		{"SELECT … INTO #t", "SELECT name INTO #t FROM sys.databases"},
		{"INSERT … VALUES, SELECT, EXEC, DEFAULT VALUES; UPDATE and DELETE with FROM, TOP and WITH; OUTPUT", "CREATE TABLE #t (i int); INSERT #t OUTPUT INSERTED.i VALUES (1), (2); INSERT INTO #t EXEC ('SELECT 3'); UPDATE x SET i = x.i + 1 FROM #t x WHERE i < 3; DELETE TOP (1) FROM #t"},
		{"BEGIN, COMMIT, ROLLBACK and SAVE TRANSACTION, nested ones, XACT_STATE, @@TRANCOUNT", "BEGIN TRAN; SAVE TRAN here; ROLLBACK TRAN here; COMMIT"},
	}},
}

var refused = []construct{
	{"PIVOT, UNPIVOT, TABLESAMPLE", "SELECT * FROM (SELECT 1 AS a, 2 AS b) s PIVOT (SUM(a) FOR b IN ([2])) p"},
	{"ROLLUP, CUBE, GROUPING SETS", "SELECT name FROM sys.databases GROUP BY name WITH ROLLUP"},
	{"FOR XML RAW, AUTO, EXPLICIT; nested names in PATH", "SELECT name FROM sys.databases FOR XML RAW"},
	{"FOR JSON, OPENJSON, JSON functions", "SELECT name FROM sys.databases FOR JSON PATH"},
	{"xml methods but .value('.')", "DECLARE @x xml = N'<a/>'; SELECT @x.value('(/a/b)[1]', 'int') AS v"},
	{"MERGE", "MERGE #t AS t USING sys.databases AS s ON 1 = 1 WHEN MATCHED THEN DELETE;"},
	{"OUTPUT … INTO", "CREATE TABLE #t (i int); INSERT #t OUTPUT INSERTED.i INTO #t VALUES (1)"},
	{"GOTO and labels", "GOTO done"},
	{"KEYSET and DYNAMIC cursors, cursors for updates, cursor variables", "DECLARE c CURSOR KEYSET FOR SELECT 1 AS x"},
	{"WHERE CURRENT OF", "DELETE FROM #t WHERE CURRENT OF c"},
	{"global temporary tables, tables that are not temporary", "CREATE TABLE ##t (i int)"},
	{"ALTER TABLE on a temporary table, CHECK and FOREIGN KEY constraints, computed columns", "CREATE TABLE #t (i int CHECK (i > 0))"},
	{"AT TIME ZONE, IS DISTINCT FROM", "SELECT GETDATE() AT TIME ZONE 'UTC' AS t"},
	{"EXECUTE AS, EXEC … AT, WITH RESULT SETS", "EXEC ('SELECT 1') AT elsewhere"},
	{"SET ANSI_NULLS OFF, CONCAT_NULL_YIELDS_NULL OFF, DATEFIRST and DATEFORMAT other than 7 and mdy, SHOWPLAN", "SET ANSI_NULLS OFF"},
	{"FORMAT with other cultures and patterns than numbers' N, F, D, 0, # and dates' letters", "SELECT FORMAT(0.5, 'P') AS p"},
	{"functions, procedures and views of SQL Server that are not listed above", "SELECT JSON_VALUE('{}', '$.a') AS j"},
}

func language() string {
	var b strings.Builder
	b.WriteString("| understood | for example |\n|---|---|\n")
	for _, g := range understood {
		for _, c := range g.list {
			fmt.Fprintf(&b, "| %s: %s | `%s` |\n", g.group, c.what, strings.ReplaceAll(c.example, "|", "\\|"))
		}
	}
	b.WriteString("\nFunctions, beside those of the lab's own views (SERVERPROPERTY, DB_NAME, HAS_PERMS_BY_NAME, sys.fn_hadr_…): ")
	names := FunctionNames()
	slices.Sort(names)
	b.WriteString(strings.Join(names, ", ") + ".\n\n")
	b.WriteString("| error 50900 | for example |\n|---|---|\n")
	for _, c := range refused {
		fmt.Fprintf(&b, "| %s | `%s` |\n", c.what, strings.ReplaceAll(c.example, "|", "\\|"))
	}
	return b.String()
}

// TestDocumentedLanguage runs every example, and holds docs/lab.md to the table that they make (-update writes it).
func TestDocumentedLanguage(t *testing.T) {
	for _, g := range understood {
		for _, c := range g.list {
			if out := runText(c.example); strings.Contains(out, "Msg ") {
				t.Errorf("%s: %s\n%s", c.what, c.example, out)
			}
		}
	}
	for _, c := range refused {
		if out := runText(c.example); !strings.Contains(out, "Msg 50900") {
			t.Errorf("%s: %s\n%s", c.what, c.example, out)
		}
	}
	const path, begin, end = "../../docs/lab.md", "<!-- begin tsql (written by go test ./internal/tsql -run Documented -update) -->\n", "<!-- end tsql -->\n"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(data), begin)
	have, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no section between %q and %q", path, begin, end)
	}
	want := language()
	if *update && have != want {
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	} else if have != want {
		t.Errorf("%s is behind the code; note: go test ./internal/tsql -run Documented -update", path)
	}
}

// TestMissingIsMissing: what is listed as missing is not there, and is refused in plain words.
func TestMissingIsMissing(t *testing.T) {
	for _, name := range FunctionNames() {
		if missingFunctions[name] {
			t.Errorf("%s is implemented and listed as missing", name)
		}
	}
	for name := range missingFunctions {
		if out := runText("SELECT " + name + "()"); !strings.Contains(out, "Msg 50900") && !strings.Contains(out, "Msg 156") {
			t.Errorf("%s: %s", name, out)
		}
	}
	for name := range missingProcedures {
		if out := runText("EXEC " + name); !strings.Contains(out, "Msg 50900") || !strings.Contains(out, name) {
			t.Errorf("%s: %s", name, out)
		}
	}
	for name := range missingTableFunctions {
		if out := runText("SELECT * FROM " + name + "(1)"); !strings.Contains(out, "Msg 50900") {
			t.Errorf("%s: %s", name, out)
		}
	}
}
