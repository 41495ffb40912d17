"""python-tds, a client written in Python alone."""

import datetime
import decimal
import uuid

import pytds

from report import case, cfg, contains, equal, fails, guide_line


def connect(port=None, database="master", password=None, autocommit=True, **more):
    if cfg["encrypt"] != "plain":
        more.update(cafile=cfg["pem"], validate_host=False, enc_login_only=cfg["encrypt"] == "login")
    return pytds.connect(
        server=cfg["host"], port=port or cfg["sourcePort"], database=database, user=cfg["user"], password=password or cfg["password"],
        autocommit=autocommit, disable_connect_retry=True, **more
    )


def run(connection, sql, args=()):
    with connection.cursor() as cursor:
        cursor.execute(sql, args)
        return cursor.fetchall()


def one(connection, sql, args=()):
    return run(connection, sql, args)[0][0]


def do(connection, sql, args=()):
    with connection.cursor() as cursor:
        cursor.execute(sql, args)
        return cursor.rowcount


@case("login")
def _():
    with connect() as c:
        equal(one(c, "SELECT SUSER_SNAME()"), "sa")
        contains(one(c, "SELECT @@VERSION"), "Microsoft SQL Server 2022")
    with connect(database="db001") as c:
        equal(one(c, "SELECT DB_NAME()"), "db001")


@case("wrong-password")
def _():
    fails(lambda: connect(password="wrong"), "Login failed for user 'sa'.")
    try:
        connect(password="wrong")
    except pytds.Error as e:
        equal(e.msg_no, 18456)


@case("unknown-database")
def _():
    fails(lambda: connect(database="nosuch"), "Cannot open database \"nosuch\"")


@case("guide")
def _():
    out = {}
    for side in ("source", "target"):
        with connect(cfg[side + "Port"]) as c:
            out[side] = [guide_line(r) for r in run(c, cfg["guide"])]
    return out


@case("parameters")
def _():
    values = [
        7, 2**40, -(2**62), "Größe 😀", "x" * 5000, "y" * 50000, 1.5, decimal.Decimal("9999999999000000155200001"), decimal.Decimal("-12.3400"),
        pytds.Binary(b"\x00\x01\xff"), datetime.datetime(2026, 11, 24, 16, 5, 7, 123456), True, None, datetime.date(2024, 2, 29),
        datetime.time(23, 59, 59, 999999), uuid.UUID("01234567-89ab-cdef-0123-456789abcdef"),
    ]
    with connect() as c:
        for v in values:
            equal(one(c, "SELECT %s AS v", (v,)), v, "parameter %.30r" % (v,))
        equal(one(c, "SELECT COUNT(*) FROM sys.databases WHERE name = %(a)s OR name = %(b)s", {"a": "db001", "b": "DB002"}), 2)
        with c.cursor() as cursor:  # an RPC by name, with an OUTPUT parameter
            got = cursor.callproc("sp_executesql", ("SET @o = @i * 2", "@i int, @o int OUTPUT", 21, pytds.output(param_type="int")))
            equal(got[3], 42)


@case("result-sets")
def _():
    with connect() as c, c.cursor() as cursor:
        cursor.execute("SELECT 1 AS a; SELECT N'zwei' AS b, 2 AS c UNION ALL SELECT N'drei', 3; PRINT N'text'; SELECT NULL AS d WHERE 1 = 0")
        equal(cursor.fetchall(), [(1,)])
        assert cursor.nextset()
        equal(cursor.fetchall(), [("zwei", 2), ("drei", 3)])
        assert cursor.nextset()
        equal(cursor.fetchall(), [])
        equal(cursor.description[0][0], "d")
        assert not cursor.nextset()


@case("error-after-rows")
def _():
    with connect() as c:
        with c.cursor() as cursor:
            cursor.execute("SELECT 1 AS a; RAISERROR(N'raised é', 16, 3)")
            fails(lambda: (equal(cursor.fetchall(), [(1,)]), cursor.nextset()), "raised é")
        fails(lambda: one(c, "SELECT 1 / 0"), "Divide by zero error encountered.")
        try:
            one(c, "\nSELECT nosuch FROM sys.databases")
        except pytds.Error as e:
            equal((e.number, e.severity, e.line), (207, 16, 2))
            contains(e, "Invalid column name 'nosuch'.")
        equal(one(c, "SELECT 5"), 5)


def rows(c):
    got = run(c, cfg["rows10000"])
    equal(len(got), 10000)
    for i, r in enumerate(got):
        equal(tuple(r), (i, "row é %d" % i))


@case("rows-10000")
def _():
    with connect() as c:
        rows(c)


@case("cancel")
def _():
    # A thread's cursor.cancel() races inside the client; its timeout sends the same ATTENTION.
    with connect(timeout=1) as c:
        spid = one(c, "SELECT @@SPID")
        for text in ("WAITFOR DELAY '00:05:00'", "SELECT 1 AS a; WAITFOR DELAY '00:05:00'; SELECT 2"):
            fails(lambda: (do(c, text), run(c, text)), "imed out")
            equal(one(c, "SELECT @@SPID"), spid, "the same connection")
        rows(c)
        with c.cursor() as cursor:  # of an answer that is under way
            cursor.execute(cfg["rows10000"])
            equal(tuple(cursor.fetchone()), (0, "row é 0"))
            cursor.cancel()
        equal(one(c, "SELECT @@SPID"), spid, "the same connection")


def ledger(c, first, last):
    return [r[0] - cfg["base"] for r in run(c, "SELECT id FROM dbo.ledger WHERE id BETWEEN %s AND %s ORDER BY id", (cfg["base"] + first, cfg["base"] + last))]


@case("transactions")
def _():
    insert = "INSERT INTO dbo.ledger (id, note) VALUES (%s, N'tx')"
    with connect(database="db001") as c, connect(database="db001") as other:
        do(c, "BEGIN TRANSACTION")
        equal(do(c, insert, (cfg["base"] + 100,)), 1)
        equal(ledger(c, 100, 199), [100], "its own row")
        equal(ledger(other, 100, 199), [], "a row that is not committed")
        do(c, "COMMIT TRANSACTION")
        equal(ledger(other, 100, 199), [100])
        do(c, "BEGIN TRANSACTION")
        do(c, insert, (cfg["base"] + 101,))
        do(c, "ROLLBACK TRANSACTION")
        equal(ledger(c, 100, 199), [100])
        equal(one(c, "SELECT @@TRANCOUNT"), 0)
    with connect(cfg["targetPort"]) as c:
        fails(lambda: do(c, "INSERT INTO db001.dbo.ledger (id) VALUES (1)"), "read-only")


@case("begin-again")
def _():
    insert = "INSERT INTO dbo.ledger (id) VALUES (%s)"
    with connect(database="db001") as other:
        c = connect(database="db001", autocommit=False)
        do(c, insert, (cfg["base"] + 200,))
        equal(one(c, "SELECT @@TRANCOUNT"), 1)
        c.commit()
        equal(ledger(other, 200, 299), [200])
        equal(one(c, "SELECT @@TRANCOUNT"), 1, "@@TRANCOUNT after a commit")
        do(c, insert, (cfg["base"] + 201,))
        equal(ledger(other, 200, 299), [200])
        c.rollback()
        equal(one(c, "SELECT @@TRANCOUNT"), 1, "@@TRANCOUNT after a rollback")
        do(c, insert, (cfg["base"] + 202,))
        c.commit()
        do(c, insert, (cfg["base"] + 203,))
        c.close()  # what is open is lost
        equal(ledger(other, 200, 299), [200, 202])


@case("reset")
def _():
    c = connect(pooling=True)
    spid = one(c, "SELECT @@SPID")
    do(c, "USE db002; CREATE TABLE #t (a int); BEGIN TRANSACTION; INSERT INTO db002.dbo.ledger (id) VALUES (%s)", (cfg["base"] + 300,))
    c.close()
    c = connect(pooling=True)
    equal(one(c, "SELECT @@SPID"), spid, "the pool's connection")
    equal([tuple(r) for r in run(c, "SELECT DB_NAME(), OBJECT_ID('tempdb..#t'), @@TRANCOUNT")], [("master", None, 0)])
    equal(one(c, "SELECT COUNT(*) FROM db002.dbo.ledger WHERE id = %s", (cfg["base"] + 300,)), 0)
    c.close()


for size in (512, 32767):

    @case("packet-%d" % size)
    def _():
        with connect(blocksize=size) as c:
            rows(c)
            equal(one(c, "SELECT LEN(N'%s')" % ("é" * 40000)), 40000)
            equal(one(c, "SELECT %s", ("é" * 40000,)), "é" * 40000)


@case("nulls")
def _():
    with connect() as c:
        for t in cfg["types"]:
            equal([r[0] for r in run(c, "SELECT CAST(NULL AS %s) AS v UNION ALL SELECT CAST(NULL AS %s)" % (t, t))], [None, None], t)
        row = run(c, "SELECT " + ", ".join("CAST(NULL AS %s)" % t for t in cfg["types"]))[0]
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
        ("CAST('01234567-89ab-cdef-0123-456789abcdef' AS uniqueidentifier)", uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")),
        ("CAST('2024-02-29T23:59:59.997' AS datetime)", datetime.datetime(2024, 2, 29, 23, 59, 59, 997000)),
        ("CAST('2024-02-29 12:30' AS smalldatetime)", datetime.datetime(2024, 2, 29, 12, 30)),
        ("CAST('2024-02-29T23:59:59.1234567' AS datetime2(7))", datetime.datetime(2024, 2, 29, 23, 59, 59, 123456)),
        ("CAST('2024-02-29' AS date)", datetime.date(2024, 2, 29)), ("CAST('23:59:59.1234567' AS time(7))", datetime.time(23, 59, 59, 123456)),
        ("CAST('ab' AS char(5))", "ab   "), ("CAST('€uro é' AS varchar(30))", "€uro é"), ("CAST(N'Größe 😀' AS nvarchar(60))", "Größe 😀"),
        ("REPLICATE(CAST(N'é' AS nvarchar(max)), 20000)", "é" * 20000), ("REPLICATE(CAST('x' AS varchar(max)), 20000)", "x" * 20000),
        ("CAST(0x0001ff AS varbinary(85))", b"\x00\x01\xff"), ("CAST(0x0102 AS binary(4))", b"\x01\x02\x00\x00"),
        ("N''", ""), ("CAST(0x AS varbinary(85))", b""),
    ]
    with connect() as c:
        for sql, v in want:
            equal(one(c, "SELECT " + sql), v, sql)
        got = one(c, "SELECT CAST('2024-02-29T23:59:59.1234567+05:30' AS datetimeoffset(7))")
        equal(got, datetime.datetime(2024, 2, 29, 18, 29, 59, 123456, tzinfo=datetime.timezone.utc))
