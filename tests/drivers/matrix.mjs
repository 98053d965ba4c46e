// node-postgres against pgveil and against PostgreSQL itself: the same calls must give the same answers.
//
// Usage: node matrix.mjs THROUGH_PGVEIL DIRECT   (connection strings). Prints the number of comparisons.

import { createRequire } from 'node:module'
import { inspect } from 'node:util'

const pg = createRequire(process.cwd() + '/')('pg')
const columns = 'id, t, v, i4, i8, n, b, d, ts, tz, u, bin, j, phone, mail, note'
const rows = [
  [1, `Zoë O'Connor \\ "x"`, '王小明', -2147483648, '9223372036854775807', '12345.60', true, '1999-12-31',
    '2024-02-29 23:59:59.123456', '2024-07-01 12:00:00+00', '00112233-4455-6677-8899-aabbccddeeff',
    Buffer.from([0, 255, 39, 92]), { a: [1, 2.5, null], 'ü': 'x\ny' }, '+44 7700 900123', 'anna@example.com', 'plain'],
  [2, ...Array(15).fill(null)],
  [3, '', 'x'.repeat(20), 0, 0, '-0.01', false, '0001-01-01', '0001-01-01 00:00:00', '9999-12-31 23:59:59+00',
    '00000000-0000-0000-0000-000000000000', Buffer.alloc(0), {}, '0123456789', 'b.c@example.org', ''],
]
const lookups = ['t', 'v', 'i4', 'i8', 'n', 'b', 'd', 'ts', 'tz', 'u', null, null, 'phone', 'mail', 'note']
let checks = 0

function same (what, [through, direct]) {
  checks += 1
  // Text, because a date that JavaScript cannot hold is equal to nothing, itself included.
  const whole = answer => inspect(answer, { depth: null, maxArrayLength: null, maxStringLength: null })
  if (whole(through) !== whole(direct)) {
    console.error(`${what}: the answers differ\n  pgveil: ${whole(through)}\n  direct: ${whole(direct)}`)
    process.exit(1)
  }
}

function told (result) {
  const fields = result.fields.map(f => [f.name, f.dataTypeID, f.dataTypeSize, f.dataTypeModifier, f.format])
  return { command: result.command, count: result.rowCount, fields, rows: result.rows }
}

async function run (sides, text, values, options = {}) {
  const answers = []
  for (const [client, table] of sides) {
    const query = { text: text.replaceAll('TABLE', table), values, ...options }
    try {
      answers.push(told(await client.query(query)))
    } catch (fault) {
      answers.push({ sqlstate: fault.code ?? fault.message })
    }
  }
  same(text, answers)
}

async function matrix (sides, options) {
  await run(sides, 'DELETE FROM TABLE')
  const places = rows[0].map((_, i) => `$${i + 1}`).join(', ')
  for (const row of rows) {
    await run(sides, `INSERT INTO TABLE (${columns}) VALUES (${places}) RETURNING *`, row, options)
  }
  await run(sides, 'SELECT * FROM TABLE ORDER BY id', undefined, options)
  for (const [index, attribute] of lookups.entries()) {
    if (attribute === null) continue
    const value = rows[0][index + 1]
    const text = `SELECT id, ${attribute} FROM TABLE WHERE ${attribute} = $1`
    await run(sides, text, [value], options)
    for (let i = 0; i < 2; i++) await run(sides, text, [value], { ...options, name: `by_${attribute}` })
    await run(sides, `SELECT id FROM TABLE WHERE ${attribute} IS NULL ORDER BY id`, undefined, options)
  }
  await run(sides, 'SELECT id FROM TABLE WHERE t = ANY($1) ORDER BY id', [['', rows[0][1]]], options)
  await run(sides, 'UPDATE TABLE SET t = $1, i8 = $2 WHERE phone = $3 RETURNING *', ['neu', 17, '0123456789'], options)
  await run(sides, 'UPDATE TABLE SET v = $1 WHERE id = 1', ['x'.repeat(21)], options)
  await run(sides, 'INSERT INTO TABLE (id) VALUES ($1)', [1], options)
  await run(sides, "SELECT t FROM TABLE WHERE t = 'neu'; SELECT i4 FROM TABLE WHERE id = 1")
  await run(sides, 'SELECT * FROM TABLE ORDER BY id')
}

function toldAll (result) {
  return Array.isArray(result) ? result.map(told) : told(result)
}

const [through, direct] = process.argv.slice(2)
const sides = []
for (const [url, table] of [[through, 'every_type'], [direct, 'twin']]) {
  const client = new pg.Client(url)
  await client.connect()
  const query = client.query.bind(client)
  client.query = async q => {
    const result = await query(q)
    return Array.isArray(result) ? { fields: [], rows: toldAll(result) } : result
  }
  sides.push([client, table])
}
for (const binary of [false, true]) await matrix(sides, { binary })
for (const [client] of sides) await client.end()
console.log(`node-postgres: ${checks} comparisons hold`)
