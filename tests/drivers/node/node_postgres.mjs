// node-postgres: results in text and in binary, statements prepared by name, a cursor as a portal is a package of its own.

import { createRequire } from 'node:module'
import { missing, run } from './plan.mjs'

const require = createRequire(process.cwd() + '/')
let pg
try {
  pg = require('pg')
} catch (error) {
  missing(error)
}

// It makes text of a binary result before it reads it, so that the length of an array's element may become a number in
// the hundreds of millions, which its parser then counts through: of arrays, what the parser would be given is compared.
const types = {
  getTypeParser: (oid, format) => format === 'binary' && [1007, 1009].includes(oid) ? bytes => bytes : pg.types.getTypeParser(oid, format)
}

class Driver {
  constructor (client, { binary, prepared }) {
    Object.assign(this, { client, binary, prepared })
  }

  async ask (text, values) {
    const name = this.prepared ? text.slice(0, 60) : undefined
    const result = await this.client.query({ text, values, binary: this.binary, name, types })
    return {
      command: result.command,
      count: result.rowCount,
      fields: result.fields.map(f => [f.name, f.dataTypeID, f.dataTypeSize, f.dataTypeModifier, f.format]),
      rows: result.rows
    }
  }

  // An array is sent as PostgreSQL's, and would be no JSON.
  async native (expression, type) {
    const result = await this.client.query({ text: `SELECT ${expression} AS value` })
    const value = result.rows[0].value
    return type.startsWith('json') ? JSON.stringify(value) : value
  }

  // Sent one after another without waiting for the answers.
  async batch (table, columns, rows) {
    const places = columns.map((_, n) => `$${n + 1}`).join(', ')
    const text = `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${places})`
    const answers = await Promise.all(rows.map(values => this.client.query({ name: `batch ${table}`, text, values })))
    return answers.map(answer => answer.rowCount)
  }

  sqlstate (error) {
    return error.code
  }

  close () {
    return this.client.end()
  }
}

async function connect (url, mode) {
  const client = new pg.Client(url)
  await client.connect()
  return new Driver(client, mode)
}

const modes = [{}, { binary: true }, { prepared: true }, { binary: true, prepared: true }]
await run(`node-postgres ${require('pg/package.json').version}`, connect, modes, async plan => {
  const answers = []
  for (const [driver, table] of plan.sides) {
    const result = await driver.client.query(`SELECT t FROM ${table} WHERE id = 1; SELECT i4 FROM ${table} WHERE id = 2`)
    answers.push(result.map(one => one.rows))
  }
  plan.same('two statements in a text', ...answers)
})
