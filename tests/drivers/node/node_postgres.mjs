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

class Driver {
  constructor (client, { binary, prepared }) {
    Object.assign(this, { client, binary, prepared })
  }

  async ask (text, values) {
    const name = this.prepared ? text.slice(0, 60) : undefined
    const given = values.map(value => value !== null && value.constructor === Array ? JSON.stringify(value) : value)
    const result = await this.client.query({ text, values: given, binary: this.binary, name })
    return {
      command: result.command,
      count: result.rowCount,
      fields: result.fields.map(f => [f.name, f.dataTypeID, f.dataTypeSize, f.dataTypeModifier, f.format]),
      rows: result.rows
    }
  }

  async native (expression) {
    const result = await this.client.query({ text: `SELECT ${expression} AS value` })
    return result.rows[0].value
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
