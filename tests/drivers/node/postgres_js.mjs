// postgres.js: describes first and then binds by the types it was told, pipelines, and reads cursors as portals.

import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { missing, run } from './plan.mjs'

const require = createRequire(process.cwd() + '/')
let postgres, version
try {
  version = JSON.parse(readFileSync('node_modules/postgres/package.json')).version
  postgres = (await import(pathToFileURL(require.resolve('postgres')))).default
} catch (error) {
  missing(error)
}

class Driver {
  constructor (sql, { prepare }) {
    Object.assign(this, { sql, prepare })
  }

  async ask (statement, values) {
    const result = await this.sql.unsafe(statement, values, { prepare: this.prepare })
    const columns = (result.columns ?? []).map(column => [column.name, column.type])
    return { command: result.command, count: result.count, columns, rows: [...result] }
  }

  // A Date is declared as timestamptz; where that must become a date or a timestamp it is refused (see below).
  async native (expression, type) {
    const value = (await this.sql.unsafe(`SELECT ${expression} AS value`))[0].value
    // The driver reads a NULL in a list of numbers as NaN.
    if (type.endsWith('[]')) return value.map(one => Number.isNaN(one) ? null : one)
    return ['date', 'timestamp'].includes(type) ? value.toISOString() : value
  }

  async batch (table, columns, rows) {
    const sql = this.sql
    const objects = rows.map(row => Object.fromEntries(columns.map((name, n) => [name, row[n]])))
    const many = await sql`INSERT INTO ${sql(table)} ${sql(objects.slice(0, 10), columns)}`
    const others = await Promise.all(objects.slice(10).map(one => sql`INSERT INTO ${sql(table)} ${sql(one, columns)}`))
    return [many.count, others.map(result => result.count)]
  }

  sqlstate (error) {
    return error.code
  }

  close () {
    return this.sql.end()
  }
}

async function connect (url, mode) {
  return new Driver(postgres(url, { max: 1, onnotice: () => {} }), mode)
}

await run(`postgres.js ${version}`, connect, [{ prepare: false }, { prepare: true }], async plan => {
  const answers = []
  for (const [driver, table] of plan.sides) {
    const parts = []
    await driver.sql`SELECT * FROM ${driver.sql(table)} ORDER BY id`.cursor(2, rows => { parts.push([...rows]) })
    for await (const rows of driver.sql`SELECT id, t FROM ${driver.sql(table)} ORDER BY id`.cursor(1)) parts.push([...rows])
    answers.push(parts)
  }
  plan.same('a portal', ...answers)
  for (const name of ['d', 'ts']) {
    const refused = await plan.told(plan.sides[0][0], `UPDATE every_type SET ${name} = $1`, [new Date()])
    plan.same(`a Date for ${name}`, refused.sqlstate, '0A000')
  }
})
