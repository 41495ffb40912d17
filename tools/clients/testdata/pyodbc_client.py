"""pyodbc over FreeTDS's ODBC driver: the only client here with sp_prepexec."""

import datetime
import decimal
import threading
import uuid

import pyodbc

from report import case, cfg, contains, equal, fails, guide_line

pyodbc.pooling = False


def connect(port=None, database="master", password=None, autocommit=True, more=""):
    c = pyodbc.connect(
        "DRIVER={FreeTDS};SERVER=%s;PORT=%d;UID=%s;PWD=%s;DATABASE=%s;TDS_Version=7.4;ClientCharset=UTF-8;Encryption=%s;%s"
        % (cfg["host"], port or cfg["sourcePort"], cfg["user"], password or cfg["password"], database, cfg["encrypt"], more),
        autocommit=autocommit,
    )
    c.add_output_converter(-155, bytes)  # datetimeoffset, which pyodbc does not know
    return c


def one(connection, sql, *args):
    return connection.cursor().execute(sql, *args).fetchone()[0]


@case("login")
def _():
    with connect() as c:
        equal(one(c, "SELECT SUSER_SNAME()"), "sa")
        contains(one(c, "SELECT @@VERSION"), "Microsoft SQL Server 2022")
    with connect(database="db001") as c:
        equal(one(c, "SELECT DB_NAME()"), "db001")


@case("wrong-password")
def _():
    fails(lambda: connect(password="wrong"), "18456", "Login failed for user 'sa'.")


@case("unknown-database")
def _():
    # Of the two errors, 4060 and 18456, this driver passes on the last. tsql shows both.
    fails(lambda: connect(database="nosuch"), "18456", "Login failed for user 'sa'.")


@case("guide")
def _():
    out = {}
    for side in ("source", "target"):
        with connect(cfg[side + "Port"]) as c:
            out[side] = [guide_line(r) for r in c.cursor().execute(cfg["guide"])]
    return out


@case("parameters")
def _():
    # Without sp_datatype_info_100 the driver believes that datetimes have whole seconds.
    moment = datetime.datetime(2026, 11, 24, 16, 5, 7)
    values = [
        7, 2**40, -(2**62), "Größe 😀", "x" * 4000, 1.5, decimal.Decimal("9999999999000000155200001"), decimal.Decimal("-12.3400"),
        b"\x00\x01\xff", moment, True, None, datetime.date(2024, 2, 29),
    ]
    with connect() as c:
        for v in values:
            got = one(c, "SELECT ? AS v", v)
            equal(got, v, "parameter %.30r" % (v,))
        id = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")
        equal(one(c, "SELECT CAST(? AS uniqueidentifier)", str(id)), str(id).upper())
        equal(one(c, "SELECT COUNT(*) FROM sys.databases WHERE name = ? OR name = ?", "db001", "DB002"), 2)


@case("prepare")
def _():
    with connect() as c:
        cursor = c.cursor()  # keeps the handle as long as the text stays the same
        for i in range(5):
            equal(tuple(cursor.execute("SELECT ? + 1, ?", i, "n%d" % i).fetchone()), (i + 1, "n%d" % i))
        cursor.executemany("INSERT INTO db001.dbo.ledger (id, note) VALUES (?, ?)", [(cfg["base"] + i, "é %d" % i) for i in range(5)])
        equal(one(c, "SELECT COUNT(*) FROM db001.dbo.ledger WHERE id BETWEEN ? AND ?", cfg["base"], cfg["base"] + 4), 5)
        cursor.execute("SELECT 1")  # another text: unprepares
        equal(cursor.fetchone()[0], 1)
        fails(lambda: cursor.execute("SELECT ? FROM sys.nosuch", 1).fetchone(), "208", "Invalid object name 'sys.nosuch'.")
        equal(cursor.execute("SELECT ?", 3).fetchone()[0], 3)


@case("result-sets")
def _():
    with connect() as c:
        cursor = c.cursor().execute("SELECT 1 AS a; SELECT N'zwei' AS b, 2 AS c UNION ALL SELECT N'drei', 3; PRINT N'text'; SELECT NULL AS d WHERE 1 = 0")
        equal([tuple(r) for r in cursor.fetchall()], [(1,)])
        assert cursor.nextset()
        equal([tuple(r) for r in cursor.fetchall()], [("zwei", 2), ("drei", 3)])
        while cursor.nextset():
            if cursor.description:
                equal(cursor.fetchall(), [])
                equal(cursor.description[0][0], "d")
                break
        else:
            raise AssertionError("no last result set")
        assert not cursor.nextset()


@case("error-after-rows")
def _():
    with connect() as c:
        cursor = c.cursor().execute("SELECT 1 AS a; RAISERROR(N'raised é', 16, 3)")
        equal(cursor.fetchall()[0][0], 1)
        fails(lambda: cursor.nextset(), "50000", "raised é")
        fails(lambda: one(c, "SELECT 1 / 0"), "8134", "Divide by zero error encountered.")
        fails(lambda: one(c, "SELECT nosuch FROM sys.databases"), "207", "Invalid column name 'nosuch'.")
        equal(one(c, "SELECT 5"), 5)


def rows(c):
    got = [tuple(r) for r in c.cursor().execute(cfg["rows10000"])]
    equal(len(got), 10000)
    for i, r in enumerate(got):
        equal(r, (i, "row é %d" % i))


@case("rows-10000")
def _():
    with connect() as c:
        rows(c)


@case("cancel")
def _():
    with connect() as c:
        spid = one(c, "SELECT @@SPID")
        for text in ("WAITFOR DELAY '00:05:00'", "SELECT 1 AS a; WAITFOR DELAY '00:05:00'; SELECT 2"):
            cursor = c.cursor()
            timer = threading.Timer(0.5, cursor.cancel)
            timer.start()
            try:
                cursor.execute(text)
                while cursor.nextset():
                    pass
                raise AssertionError("a cancelled statement ended well")
            except pyodbc.Error as e:
                contains(e, "HY008")
            timer.join()
            cursor.close()
            equal(one(c, "SELECT @@SPID"), spid, "the same connection")
        rows(c)


def ledger(c, first, last):
    return [r[0] - cfg["base"] for r in c.cursor().execute("SELECT id FROM dbo.ledger WHERE id BETWEEN ? AND ? ORDER BY id", cfg["base"] + first, cfg["base"] + last)]


@case("transactions")
def _():
    insert = "INSERT INTO dbo.ledger (id, note) VALUES (?, N'tx')"
    with connect(database="db001") as c, connect(database="db001") as other:
        cursor = c.cursor()
        cursor.execute("BEGIN TRANSACTION")
        equal(cursor.execute(insert, cfg["base"] + 100).rowcount, 1)
        equal(ledger(c, 100, 199), [100], "its own row")
        equal(ledger(other, 100, 199), [], "a row that is not committed")
        cursor.execute("COMMIT TRANSACTION")
        equal(ledger(other, 100, 199), [100])
        cursor.execute("BEGIN TRANSACTION")
        cursor.execute(insert, cfg["base"] + 101)
        cursor.execute("ROLLBACK TRANSACTION")
        equal(ledger(c, 100, 199), [100])
        equal(one(c, "SELECT @@TRANCOUNT"), 0)
    with connect(cfg["targetPort"]) as c:
        fails(lambda: c.cursor().execute("INSERT INTO db001.dbo.ledger (id) VALUES (1)"), "3906")


@case("begin-again")
def _():
    insert = "INSERT INTO dbo.ledger (id) VALUES (?)"
    with connect(database="db001") as other:
        c = connect(database="db001", autocommit=False)
        cursor = c.cursor()
        cursor.execute(insert, cfg["base"] + 200)
        equal(one(c, "SELECT @@TRANCOUNT"), 1)
        c.commit()
        equal(one(c, "SELECT @@TRANCOUNT"), 1, "@@TRANCOUNT after a commit")
        equal(ledger(other, 200, 299), [200])
        cursor.execute(insert, cfg["base"] + 201)
        equal(ledger(other, 200, 299), [200])
        c.rollback()
        equal(one(c, "SELECT @@TRANCOUNT"), 1, "@@TRANCOUNT after a rollback")
        cursor.execute(insert, cfg["base"] + 202)
        c.commit()
        cursor.execute(insert, cfg["base"] + 203)
        c.close()  # what is open is lost
        equal(ledger(other, 200, 299), [200, 202])


@case("packet-32767")
def _():
    with connect(more="PacketSize=32767") as c:
        rows(c)
        equal(one(c, "SELECT LEN(N'%s')" % ("é" * 40000)), 40000)


@case("nulls")
def _():
    with connect() as c:
        for t in cfg["types"]:
            equal([r[0] for r in c.cursor().execute("SELECT CAST(NULL AS %s) AS v UNION ALL SELECT CAST(NULL AS %s)" % (t, t))], [None, None], t)
        row = c.cursor().execute("SELECT " + ", ".join("CAST(NULL AS %s)" % t for t in cfg["types"])).fetchone()
        equal(list(row), [None] * len(cfg["types"]))


@case("types")
def _():
    d = decimal.Decimal
    want = [
        ("CAST(1 AS bit)", True), ("CAST(255 AS tinyint)", 255), ("CAST(-32768 AS smallint)", -32768), ("CAST(-2147483648 AS int)", -2147483648),
        ("CAST(-9223372036854775808 AS bigint)", -9223372036854775808), ("CAST(1.5 AS float)", 1.5), ("CAST(-0.25 AS real)", -0.25),
        ("CAST(9999999999000000155200001 AS numeric(25,0))", d("9999999999000000155200001")),
        ("CAST(-1234567890123456789012345678901234.5678 AS numeric(38,4))", d("-1234567890123456789012345678901234.5678")),
        ("CAST(-12.3456 AS money)", d("-12.3456")),
        ("CAST('01234567-89ab-cdef-0123-456789abcdef' AS uniqueidentifier)", "01234567-89AB-CDEF-0123-456789ABCDEF"),
        ("CAST('2024-02-29T23:59:59.997' AS datetime)", datetime.datetime(2024, 2, 29, 23, 59, 59, 997000)),
        ("CAST('1753-01-01' AS datetime)", datetime.datetime(1753, 1, 1)),
        ("CAST('2024-02-29 12:30' AS smalldatetime)", datetime.datetime(2024, 2, 29, 12, 30)),
        ("CAST('2024-02-29T23:59:59.1234567' AS datetime2(7))", datetime.datetime(2024, 2, 29, 23, 59, 59, 123456)),
        ("CAST('2024-02-29' AS date)", datetime.date(2024, 2, 29)),
        ("CAST('ab' AS char(5))", "ab   "), ("CAST('€uro é' AS varchar(30))", "€uro é"), ("CAST(N'Größe 😀' AS nvarchar(60))", "Größe 😀"),
        ("REPLICATE(CAST(N'é' AS nvarchar(max)), 20000)", "é" * 20000), ("REPLICATE(CAST('x' AS varchar(max)), 20000)", "x" * 20000),
        ("CAST(0x0001ff AS varbinary(85))", b"\x00\x01\xff"), ("CAST(0x0102 AS binary(4))", b"\x01\x02\x00\x00"),
        ("N''", ""), ("CAST(0x AS varbinary(85))", b""),
    ]
    with connect() as c:
        for sql, v in want:
            equal(one(c, "SELECT " + sql), v, sql)
