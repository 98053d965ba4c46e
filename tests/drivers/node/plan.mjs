// What both Node drivers are asked to do, through pgveil and directly, and how the answers are held together.
//
// A driver has ask(statement, values), batch(statement, rows), sqlstate(error) and close(); statements have $1, $2, ...

import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'

export const MISSING = 77

export function missing (error) {
  console.log(`missing: ${error.message}`)
  process.exit(MISSING)
}

function attributes () {
  const lines = readFileSync(process.argv[2], 'utf8').split('\n').filter(line => line && !line.startsWith('#'))
  return lines.map(line => {
    const cells = line.split(' | ').map(cell => cell.trim())
    const [name, type, store, ordinary, lowest, highest, beyond, invalid] = cells
    const [compared, found] = [!store.includes('search: []'), cells[12] === 'found']
    return { name, type, values: [ordinary, lowest, highest], beyond, invalid, compared, found }
  })
}

// Text, because a date that JavaScript cannot hold is equal to nothing, itself included.
const shown = answer => inspect(answer, { depth: null, maxArrayLength: null, maxStringLength: null })

class Plan {
  constructor (through, direct, masked, tokened) {
    this.sides = [[through, 'every_type'], [direct, 'twin']]
    this.others = [[masked, 'shown'], [tokened, 'tokens']]
    this.direct = direct
    this.attributes = attributes()
    this.names = this.attributes.map(a => a.name)
    this.list = ['id', ...this.names].join(', ')
    this.places = ['id', ...this.names].map((_, n) => `$${n + 1}`).join(', ')
    this.checks = 0
  }

  same (what, through, direct) {
    this.checks += 1
    if (shown(through) !== shown(direct)) {
      const [one, other] = [shown(through).split('\n'), shown(direct).split('\n')]
      const line = one.findIndex((text, n) => text !== other[n])
      throw new Error(`${what}: the answers differ\n  pgveil: ${one[line]}\n  direct: ${other[line]}`)
    }
  }

  async told (driver, statement, values) {
    try {
      return await driver.ask(statement, values)
    } catch (error) {
      return { fault: error.constructor.name, sqlstate: driver.sqlstate(error) }
    }
  }

  async run (statement, values = []) {
    const answers = []
    for (const [driver, table] of this.sides) answers.push(await this.told(driver, statement.replace('TABLE', table), values))
    this.same(statement, ...answers)
    return answers[0]
  }

  async must (statement, values) {
    const answer = await this.run(statement, values)
    if (answer.fault) throw new Error(`${statement}: ${shown(answer)}`)
    return answer
  }

  async fill () {
    for (const [driver, table] of this.sides) await driver.ask(`DELETE FROM ${table}`, [])
    for (const row of this.rows) await this.must(`INSERT INTO TABLE (${this.list}) VALUES (${this.places}) RETURNING *`, row)
  }

  async values () {
    this.rows = []
    for (let place = 0; place < 3; place++) {
      const row = [place + 1]
      for (const { type, values } of this.attributes) row.push(await this.direct.native(`CAST(${values[place]} AS ${type})`, type))
      this.rows.push(row)
    }
    this.rows.push([4, ...this.names.map(() => null)])
    await this.fill()
    await this.must('SELECT * FROM TABLE ORDER BY id')
    for (const { name, type, beyond } of this.attributes) {
      await this.must(`SELECT id, ${name} FROM TABLE WHERE ${name} IS NULL`)
      const literal = await this.direct.native(`quote_literal(CAST(CAST(${beyond} AS ${type}) AS text))`, 'text')
      await this.must(`INSERT INTO TABLE (id, ${name}) VALUES (5, ${literal})`)
      await this.run(`SELECT ${name} FROM TABLE WHERE id = 5`)
      await this.must('DELETE FROM TABLE WHERE id = $1', [5])
    }
  }

  async lookups () {
    for (const [place, { name, compared }] of this.attributes.entries()) {
      if (!compared) continue
      for (const row of this.rows.slice(0, 3)) {
        for (let time = 0; time < 3; time++) await this.must(`SELECT id, ${name} FROM TABLE WHERE ${name} = $1 ORDER BY id`, [row[place + 1]])
      }
      await this.must(`SELECT count(*) FROM TABLE WHERE ${name} <> $1`, [this.rows[0][place + 1]])
      await this.must(`SELECT id FROM TABLE WHERE ${name} IN ($1, $2) ORDER BY id`, [this.rows[0][place + 1], this.rows[1][place + 1]])
    }
  }

  async changes () {
    for (const [place, name] of this.names.entries()) {
      for (const row of [1, 3, 0]) {
        await this.must(`UPDATE TABLE SET ${name} = $1 WHERE id = $2 RETURNING id, ${name}`, [this.rows[row][place + 1], 3])
      }
    }
    await this.must('DELETE FROM TABLE WHERE id = $1 RETURNING *', [3])
  }

  async faults () {
    for (const { name, invalid } of this.attributes) {
      if (invalid === '-') continue
      await this.run(`UPDATE TABLE SET ${name} = ${invalid} WHERE id = 1`)
      await this.run(`UPDATE TABLE SET ${name} = $1 WHERE id = $2`, ['no such value', 1])
    }
    await this.run('INSERT INTO TABLE (id) VALUES ($1)', [1])
    await this.run('SELECT nowhere FROM TABLE')
    await this.run('SELEKT 1')
    await this.must('SELECT * FROM TABLE ORDER BY id')
  }

  async batches () {
    const rows = Array.from({ length: 30 }, (_, n) => [100 + n, ...this.rows[n % 4].slice(1)])
    const answers = []
    for (const [driver, table] of this.sides) answers.push(await driver.batch(table, ['id', ...this.names], rows))
    this.same('a batch', ...answers)
    await this.must('SELECT * FROM TABLE WHERE id >= 100 ORDER BY id')
    await this.must('DELETE FROM TABLE WHERE id >= $1', [100])
  }

  // DECLARE is refused over the treated table, and works over others.
  async cursors () {
    const through = this.sides[0][0]
    await through.ask('BEGIN', [])
    const refused = await this.told(through, 'DECLARE page CURSOR FOR SELECT * FROM every_type', [])
    await through.ask('ROLLBACK', [])
    this.same('DECLARE', refused.sqlstate, '0A000')
    const answers = []
    for (const [driver] of this.sides) {
      await driver.ask('BEGIN', [])
      await driver.ask('DECLARE page CURSOR FOR SELECT * FROM shown ORDER BY id', [])
      answers.push(await driver.ask('FETCH 2 FROM page', []))
      await driver.ask('COMMIT', [])
    }
    this.same('FETCH', ...answers)
  }

  // Other roles see of `every_type` what `shown` and `tokens` have, with the same description.
  async roles () {
    await this.fill()
    for (const [role, table] of this.others) {
      for (const list of ['*', ...this.names.map(name => `id, ${name}`)]) {
        for (const [tail, values] of [['ORDER BY id', []], ['WHERE id = $1', [1]]]) {
          const told = await role.ask(`SELECT ${list} FROM every_type ${tail}`, values)
          this.same(`${table} ${list}`, told, await this.direct.ask(`SELECT ${list} FROM ${table} ${tail}`, values))
        }
      }
      const refused = await this.told(role, 'UPDATE every_type SET t = $1', ['x'])
      this.same('assigned by a role without plain sight', refused.sqlstate, '42501')
    }
  }

  // The masked role finds rows by plain values, the other by the tokens it is shown.
  async found () {
    const [[masked], [tokened]] = this.others
    for (const [place, { name, type, compared, found }] of this.attributes.entries()) {
      for (let row = 0; row < 3 && compared; row++) {
        await this.look(masked, `SELECT id FROM TABLE WHERE ${name} = $1 ORDER BY id`, 'twin', this.rows[row][place + 1])
        if (!found) continue
        const token = await this.direct.native(`(SELECT ${name} FROM tokens WHERE id = ${row + 1})`, type)
        const answer = await this.look(tokened, `SELECT id, ${name} FROM TABLE WHERE ${name} = $1 ORDER BY id`, 'tokens', token)
        if (!answer.count) throw new Error(`${name}: a token is not found`)
      }
    }
  }

  async look (role, statement, table, value) {
    const answers = []
    for (const [driver, name] of [[role, 'every_type'], [this.direct, table]]) {
      answers.push(await this.told(driver, statement.replace('TABLE', name), [value]))
    }
    this.same(`${statement}, ${table}`, ...answers)
    return answers[0]
  }
}

// The whole plan in each mode; connect(url, mode) gives a driver, special(plan) does what only this driver can.
export async function run (name, connect, modes, special) {
  let checks = 0
  for (const mode of modes) {
    const drivers = []
    for (const url of process.argv.slice(3, 7)) drivers.push(await connect(url, mode))
    const plan = new Plan(...drivers)
    try {
      for (const part of ['values', 'lookups', 'changes', 'faults', 'batches', 'cursors', 'roles', 'found']) await plan[part]()
      await special(plan)
    } catch (error) {
      console.error(error.stack)
      process.exit(1)
    }
    checks += plan.checks
    for (const driver of drivers) await driver.close()
  }
  console.log(`${name}: ${checks} checks hold`)
}
