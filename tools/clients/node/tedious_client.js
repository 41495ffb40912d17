// tedious, the driver under most node programs that speak to SQL Server.
'use strict';

const fs = require('fs');
const { Connection, Request, TYPES, ISOLATION_LEVEL } = require('tedious');

const cfg = JSON.parse(fs.readFileSync(0, 'utf8'));

function check(ok, text) {
  if (!ok) throw new Error(text);
}

function equal(got, want, what = 'got') {
  const show = (v) => JSON.stringify(v, (_, x) => (Buffer.isBuffer(x) ? x.toString('hex') : x));
  check(show(got) === show(want), `${what}: ${String(show(got)).slice(0, 300)}, want ${String(show(want)).slice(0, 300)}`);
}

// fails wants an error with that number and part of a text.
async function fails(promise, number, text) {
  let result;
  try {
    result = await promise;
  } catch (err) {
    equal(err.number, number, `number of "${err.message}"`);
    check(err.message.includes(text), `"${text}" is not in "${err.message}"`);
    return;
  }
  throw new Error(`no error but ${JSON.stringify(result)}, want ${number} ${text}`);
}

function connect({ port = cfg.sourcePort, database = 'master', password = cfg.password, packetSize = 4096 } = {}) {
  const options = { port, database, packetSize, encrypt: cfg.encrypt === 'strict' ? 'strict' : cfg.encrypt === 'true', requestTimeout: 120000, rowCollectionOnDone: false };
  if (cfg.encrypt === 'strict') {
    options.serverName = 'localhost';
    options.cryptoCredentialsDetails = { ca: fs.readFileSync(cfg.pem) };
  } else {
    options.trustServerCertificate = true;
  }
  const c = new Connection({ server: cfg.host, authentication: { type: 'default', options: { userName: cfg.user, password } }, options });
  c.on('error', () => {}); // what a test expects it sees in its request
  return new Promise((resolve, reject) => c.connect((err) => (err ? reject(err) : resolve(c))));
}

// withConnection closes what it opened.
async function withConnection(options, f) {
  const c = await connect(options);
  try {
    return await f(c);
  } finally {
    c.close();
  }
}

// send runs a request by one of the connection's methods and collects its result sets.
function send(c, method, sql, prepare = () => {}, extra = []) {
  return new Promise((resolve, reject) => {
    const sets = [];
    const outputs = {};
    const request = new Request(sql, (err, count) => {
      if (err) {
        err.sets = sets;
        reject(err);
      } else {
        resolve({ sets, outputs, count });
      }
    });
    request.on('columnMetadata', (columns) => sets.push({ columns: columns.map((x) => x.colName), rows: [] }));
    request.on('row', (row) => sets[sets.length - 1].rows.push(row.map((x) => x.value)));
    request.on('returnValue', (name, value) => (outputs[name] = value));
    prepare(request);
    c[method](request, ...extra);
  });
}

const batch = (c, sql) => send(c, 'execSqlBatch', sql);
const sqlWith = (c, sql, params) => send(c, 'execSql', sql, (r) => params.forEach((p) => r.addParameter(...p)));
const first = (r) => r.sets[0].rows[0][0];
const one = async (c, sql) => first(await batch(c, sql));
const tm = (c, method, ...args) => new Promise((resolve, reject) => c[method]((err) => (err ? reject(err) : resolve()), ...args));

const cases = {
  login: async () => {
    await withConnection({}, async (c) => {
      equal(await one(c, 'SELECT SUSER_SNAME()'), 'sa');
      check((await one(c, 'SELECT @@VERSION')).includes('Microsoft SQL Server 2022'), 'version');
    });
    await withConnection({ database: 'db001' }, async (c) => equal(await one(c, 'SELECT DB_NAME()'), 'db001'));
  },

  'wrong-password': async () => {
    try {
      (await connect({ password: 'wrong' })).close();
    } catch (err) {
      equal(err.code, 'ELOGIN');
      check(err.message.includes("Login failed for user 'sa'."), err.message);
      return;
    }
    throw new Error('no error');
  },

  'unknown-database': async () => {
    try {
      (await connect({ database: 'nosuch' })).close();
    } catch (err) {
      equal(err.code, 'ELOGIN');
      return;
    }
    throw new Error('no error');
  },

  // numeric is a JavaScript number here, so the script's text is wrapped in a CONVERT.
  guide: async () => {
    const sql = `SELECT name + N'|' + CONVERT(varchar(12), database_id) + N'|' + database_name + N'|' + CONVERT(varchar(36), group_id) + N'|' + CONVERT(varchar(36), replica_id)
      + N'|' + synchronization_state_desc + N'|' + ISNULL(CONVERT(varchar(30), last_hardened_lsn), 'NULL') FROM (${cfg.guide.trim().replace(/;$/, '')}) AS guide`;
    const out = {};
    for (const side of ['source', 'target']) {
      await withConnection({ port: cfg[side + 'Port'] }, async (c) => {
        out[side] = (await batch(c, sql)).sets[0].rows.map((r) => r[0]);
        const plain = (await batch(c, cfg.guide)).sets[0];
        equal(plain.columns, ['name', 'database_id', 'database_name', 'group_id', 'replica_id', 'synchronization_state_desc', 'last_hardened_lsn']);
        equal(plain.rows.map((r) => r.slice(0, 6).join('|')), out[side].map((l) => l.slice(0, l.lastIndexOf('|'))));
      });
    }
    return out;
  },

  parameters: () =>
    withConnection({}, async (c) => {
      const moment = new Date(Date.UTC(2026, 10, 24, 16, 5, 7, 123));
      for (const [type, value, options, want = value] of [
        [TYPES.Bit, true], [TYPES.TinyInt, 255], [TYPES.SmallInt, -32768], [TYPES.Int, 7], [TYPES.BigInt, '-4611686018427387904'], [TYPES.Float, 1.5], [TYPES.Real, -0.25],
        [TYPES.Decimal, 12345.6789, { precision: 19, scale: 4 }], [TYPES.Money, -12.25], [TYPES.NVarChar, 'Größe 😀'], [TYPES.NVarChar, 'é'.repeat(50000)], [TYPES.VarChar, '€uro é'],
        [TYPES.UniqueIdentifier, '01234567-89AB-CDEF-0123-456789ABCDEF'], [TYPES.VarBinary, Buffer.from('0001ff', 'hex')], [TYPES.VarBinary, Buffer.alloc(50000, 7)], [TYPES.DateTime, moment],
        [TYPES.DateTime2, moment], [TYPES.DateTimeOffset, moment], [TYPES.SmallDateTime, new Date(Date.UTC(2024, 1, 29, 12, 30))], [TYPES.Date, new Date(Date.UTC(2024, 1, 29))],
        [TYPES.NVarChar, null], [TYPES.Int, null], [TYPES.DateTime, null], [TYPES.UniqueIdentifier, null], [TYPES.VarBinary, null], [TYPES.Decimal, null, { precision: 25, scale: 0 }],
      ]) {
        equal(first(await sqlWith(c, 'SELECT @v AS v', [['v', type, value, options]])), want, type.name);
      }
      const two = [['a', TYPES.NVarChar, 'db001'], ['b', TYPES.NVarChar, 'DB002']];
      equal(first(await sqlWith(c, 'SELECT COUNT(*) FROM sys.databases WHERE name = @a OR name = @b', two)), 2);
      const r = await send(c, 'execSql', 'SET @o = @i * 2', (q) => {
        q.addParameter('i', TYPES.Int, 21);
        q.addOutputParameter('o', TYPES.Int);
      });
      equal(r.outputs, { o: 42 });
      const p = await send(c, 'callProcedure', 'sp_who'); // an RPC by name
      check(p.sets[0].columns.includes('spid'), 'sp_who');
    }),

  prepare: () =>
    withConnection({}, async (c) => {
      const results = [];
      let done;
      const request = new Request('SELECT @i + 1 AS n, @t AS t', (err) => done(err));
      request.addParameter('i', TYPES.Int);
      request.addParameter('t', TYPES.NVarChar);
      request.on('row', (row) => results.push(row.map((x) => x.value)));
      const step = (f) => new Promise((resolve, reject) => {
        done = (err) => (err ? reject(err) : resolve());
        f();
      });
      await new Promise((resolve) => {
        request.on('prepared', resolve);
        done = resolve;
        c.prepare(request);
      });
      if (request.error) throw request.error;
      const handle = request.handle;
      check(Number.isInteger(handle), `handle ${handle}`);
      for (let i = 0; i < 5; i++) await step(() => c.execute(request, { i, t: `n${i}` }));
      equal(results, [[1, 'n0'], [2, 'n1'], [3, 'n2'], [4, 'n3'], [5, 'n4']]);
      await step(() => c.unprepare(request));
      await fails(send(c, 'callProcedure', 'sp_execute', (q) => q.addParameter('handle', TYPES.Int, handle)), 8179, 'Could not find prepared statement with handle');
      equal(await one(c, 'SELECT 5'), 5);
    }),

  'result-sets': () =>
    withConnection({}, async (c) => {
      const info = [];
      c.on('infoMessage', (m) => info.push(m.message));
      const r = await batch(c, "SELECT 1 AS a; SELECT N'zwei' AS b, 2 AS c UNION ALL SELECT N'drei', 3; PRINT N'text'; SELECT NULL AS d WHERE 1 = 0");
      equal(r.sets, [{ columns: ['a'], rows: [[1]] }, { columns: ['b', 'c'], rows: [['zwei', 2], ['drei', 3]] }, { columns: ['d'], rows: [] }]);
      equal(info, ['text']);
    }),

  'error-after-rows': () =>
    withConnection({}, async (c) => {
      try {
        await batch(c, "SELECT 1 AS a;\nRAISERROR(N'raised é', 16, 3)");
        throw new Error('no error');
      } catch (err) {
        equal([err.number, err.class, err.state, err.lineNumber, err.message], [50000, 16, 3, 2, 'raised é']);
        equal(err.sets[0].rows, [[1]]);
      }
      await fails(batch(c, 'SELECT 1 / 0'), 8134, 'Divide by zero error encountered.');
      await fails(batch(c, 'SELECT nosuch FROM sys.databases'), 207, "Invalid column name 'nosuch'.");
      equal(await one(c, 'SELECT 5'), 5);
    }),

  'rows-10000': () => withConnection({}, rows),

  cancel: () =>
    withConnection({}, async (c) => {
      const spid = await one(c, 'SELECT @@SPID');
      for (const text of ["WAITFOR DELAY '00:05:00'", "SELECT 1 AS a; WAITFOR DELAY '00:05:00'; SELECT 2"]) {
        const running = batch(c, text);
        setTimeout(() => c.cancel(), 300);
        try {
          await running;
          throw new Error('a cancelled statement ended well');
        } catch (err) {
          equal(err.code, 'ECANCEL', err.message);
        }
        equal(await one(c, 'SELECT @@SPID'), spid, 'the same connection');
      }
      const running = sqlWith(c, "WAITFOR DELAY '00:05:00'; SELECT @a", [['a', TYPES.Int, 1]]); // an RPC
      setTimeout(() => c.cancel(), 300);
      await running.then(() => check(false, 'a cancelled RPC ended well'), (err) => equal(err.code, 'ECANCEL', err.message));
      await rows(c);
      equal(await one(c, 'SELECT @@SPID'), spid, 'the same connection');
    }),

  transactions: async () => {
    await withConnection({ database: 'db001' }, (c) =>
      withConnection({ database: 'db001' }, async (other) => {
        const insert = (n) => sqlWith(c, "INSERT INTO dbo.ledger (id, note) VALUES (@id, N'tx')", [['id', TYPES.BigInt, String(cfg.base + n)]]);
        const ledger = async (x) => (await batch(x, `SELECT id FROM dbo.ledger WHERE id BETWEEN ${cfg.base + 100} AND ${cfg.base + 199} ORDER BY id`)).sets[0].rows.map((r) => Number(r[0]) - cfg.base);
        await tm(c, 'beginTransaction', 'named', ISOLATION_LEVEL.READ_COMMITTED);
        equal((await insert(100)).count, 1);
        equal(await ledger(c), [100], 'its own row');
        equal(await ledger(other), [], 'a row that is not committed');
        await tm(c, 'commitTransaction');
        equal(await ledger(other), [100]);
        await tm(c, 'beginTransaction');
        await insert(101);
        await tm(c, 'rollbackTransaction');
        equal(await ledger(c), [100]);
        equal(await one(c, 'SELECT @@TRANCOUNT'), 0);
        await batch(c, 'BEGIN TRANSACTION'); // by text: the next request must carry its descriptor
        await insert(102);
        await batch(c, 'COMMIT TRANSACTION');
        await batch(c, 'BEGIN TRANSACTION');
        await insert(103);
        await batch(c, 'ROLLBACK TRANSACTION');
        equal(await ledger(other), [100, 102]);
      }),
    );
    await withConnection({ port: cfg.targetPort }, (c) => fails(batch(c, 'INSERT INTO db001.dbo.ledger (id) VALUES (1)'), 3906, 'read-only'));
  },

  reset: () =>
    withConnection({}, async (c) => {
      const spid = await one(c, 'SELECT @@SPID');
      await batch(c, 'USE db002');
      await batch(c, 'CREATE TABLE #t (a int)');
      await batch(c, `BEGIN TRANSACTION; INSERT INTO db002.dbo.ledger (id) VALUES (${cfg.base + 300})`);
      await new Promise((resolve, reject) => c.reset((err) => (err ? reject(err) : resolve())));
      equal((await batch(c, "SELECT DB_NAME(), OBJECT_ID('tempdb..#t'), @@TRANCOUNT")).sets[0].rows, [['master', null, 0]]);
      equal(await one(c, `SELECT COUNT(*) FROM db002.dbo.ledger WHERE id = ${cfg.base + 300}`), 0);
      equal(await one(c, 'SELECT @@SPID'), spid, 'the same connection');
    }),

  nulls: () =>
    withConnection({}, async (c) => {
      for (const t of cfg.types) {
        equal((await batch(c, `SELECT CAST(NULL AS ${t}) AS v UNION ALL SELECT CAST(NULL AS ${t})`)).sets[0].rows, [[null], [null]], t);
      }
      const r = await batch(c, `SELECT ${cfg.types.map((t) => `CAST(NULL AS ${t})`).join(', ')}`);
      equal(r.sets[0].rows, [cfg.types.map(() => null)]);
    }),

  types: () =>
    withConnection({}, async (c) => {
      const utc = (...a) => new Date(Date.UTC(...a));
      for (const [sql, want] of [
        ['CAST(1 AS bit)', true], ['CAST(255 AS tinyint)', 255], ['CAST(-32768 AS smallint)', -32768], ['CAST(-2147483648 AS int)', -2147483648],
        ['CAST(-9223372036854775808 AS bigint)', '-9223372036854775808'], ['CAST(1.5 AS float)', 1.5], ['CAST(-0.25 AS real)', -0.25],
        ['CAST(1234567.8901 AS numeric(25,4))', 1234567.8901], ['CAST(-12.3456 AS money)', -12.3456],
        ['CONVERT(varchar(30), CAST(9999999999000000155200001 AS numeric(25,0)))', '9999999999000000155200001'],
        ["CAST('01234567-89ab-cdef-0123-456789abcdef' AS uniqueidentifier)", '01234567-89AB-CDEF-0123-456789ABCDEF'],
        ["CAST('2024-02-29T23:59:59.997' AS datetime)", utc(2024, 1, 29, 23, 59, 59, 997)], ["CAST('1753-01-01' AS datetime)", utc(1753, 0, 1)],
        ["CAST('2024-02-29 12:30' AS smalldatetime)", utc(2024, 1, 29, 12, 30)], ["CAST('2024-02-29T23:59:59.1234567' AS datetime2(7))", utc(2024, 1, 29, 23, 59, 59, 123)],
        ["CAST('2024-02-29' AS date)", utc(2024, 1, 29)], ["CAST('23:59:59.1234567' AS time(7))", utc(1970, 0, 1, 23, 59, 59, 123)],
        ["CAST('2024-02-29T23:59:59.1234567+05:30' AS datetimeoffset(7))", utc(2024, 1, 29, 18, 29, 59, 123)],
        ["CAST('ab' AS char(5))", 'ab   '], ["CAST('€uro é' AS varchar(30))", '€uro é'], ["CAST(N'Größe 😀' AS nvarchar(60))", 'Größe 😀'],
        ["REPLICATE(CAST(N'é' AS nvarchar(max)), 20000)", 'é'.repeat(20000)], ["REPLICATE(CAST('x' AS varchar(max)), 20000)", 'x'.repeat(20000)],
        ['CAST(0x0001ff AS varbinary(85))', Buffer.from('0001ff', 'hex')], ['CAST(0x0102 AS binary(4))', Buffer.from('01020000', 'hex')], ["N''", ''],
      ]) {
        equal(await one(c, `SELECT ${sql}`), want, sql);
      }
    }),
};

for (const packetSize of [512, 32767]) {
  cases[`packet-${packetSize}`] = () =>
    withConnection({ packetSize }, async (c) => {
      await rows(c);
      equal(await one(c, `SELECT LEN(N'${'é'.repeat(40000)}')`), '40000');
      equal(first(await sqlWith(c, 'SELECT @v', [['v', TYPES.NVarChar, 'é'.repeat(40000)]])), 'é'.repeat(40000));
    });
}

async function rows(c) {
  const got = (await batch(c, cfg.rows10000)).sets[0].rows;
  equal(got.length, 10000);
  got.forEach((r, i) => equal(r, [i, `row é ${i}`]));
}

(async () => {
  for (const [name, run] of Object.entries(cases)) {
    const line = { case: name };
    try {
      Object.assign(line, await run());
    } catch (err) {
      line.error = err.stack || String(err);
    }
    console.log(JSON.stringify(line));
  }
})();
