// Go's database/sql over lib/pq: described first and bound in text, or bound at once with binary parameters.
package main

import (
	"database/sql"
	"fmt"
	"os"
	"strings"

	"github.com/lib/pq"
)

type attribute struct {
	name, ty, store, beyond, invalid string
	values                           []string
}

type side struct {
	db    *sql.DB
	table string
}

type matrix struct {
	attributes              []attribute
	rows                    [][]interface{}
	through, direct, masked side
	list, places            string
	checks                  int
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// One connection each, so that BEGIN and what follows meet.
func open(url, table, mode string) side {
	db, err := sql.Open("postgres", url+"?sslmode=disable&"+mode)
	must(err)
	db.SetMaxOpenConns(1)
	return side{db, table}
}

// The description and the rows, or the class and the SQLSTATE of the fault.
func (s side) ask(statement string, values ...interface{}) string {
	rows, err := s.db.Query(strings.Replace(statement, "TABLE", s.table, 1), values...)
	if err != nil {
		return fault(err)
	}
	defer rows.Close()
	return read(rows)
}

func fault(err error) string {
	if of, ok := err.(*pq.Error); ok {
		return "pq.Error " + string(of.Code)
	}
	return fmt.Sprintf("%T", err)
}

func read(rows *sql.Rows) string {
	var told strings.Builder
	types, err := rows.ColumnTypes()
	if err != nil {
		return fault(err)
	}
	for _, column := range types {
		length, _ := column.Length()
		precision, scale, _ := column.DecimalSize()
		fmt.Fprintf(&told, "%s %s %v %d %d %d\n", column.Name(), column.DatabaseTypeName(), column.ScanType(), length, precision, scale)
	}
	for rows.Next() {
		cells := make([]interface{}, len(types))
		places := make([]interface{}, len(types))
		for n := range cells {
			places[n] = &cells[n]
		}
		if err := rows.Scan(places...); err != nil {
			return fault(err)
		}
		for _, cell := range cells {
			fmt.Fprintf(&told, "%T %q\n", cell, fmt.Sprint(cell))
		}
	}
	if rows.Err() != nil {
		return fault(rows.Err())
	}
	return told.String()
}

func (m *matrix) same(what, through, direct string) {
	m.checks++
	if through != direct {
		fmt.Fprintf(os.Stderr, "%s: the answers differ\n  pgveil: %s\n  direct: %s\n", what, through, direct)
		os.Exit(1)
	}
}

func (m *matrix) run(statement string, values ...interface{}) {
	m.same(statement, m.through.ask(statement, values...), m.direct.ask(statement, values...))
}

// The driver's own object for a value. What it has none for it gives as bytes, and those are text.
func (m *matrix) native(expression, ty string) interface{} {
	var value interface{}
	must(m.direct.db.QueryRow("SELECT " + expression).Scan(&value))
	if bytes, ok := value.([]byte); ok && ty != "bytea" {
		return string(bytes)
	}
	return value
}

func load(path string) []attribute {
	text, err := os.ReadFile(path)
	must(err)
	var found []attribute
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(line, " | ")
		for n := range cells {
			cells[n] = strings.TrimSpace(cells[n])
		}
		found = append(found, attribute{cells[0], cells[1], cells[2], cells[6], cells[7], cells[3:6]})
	}
	return found
}

func (m *matrix) fill() {
	for _, s := range []side{m.through, m.direct} {
		_, err := s.db.Exec("DELETE FROM " + s.table)
		must(err)
	}
	for _, row := range m.rows {
		m.run("INSERT INTO TABLE ("+m.list+") VALUES ("+m.places+") RETURNING *", row...)
	}
}

func (m *matrix) values() {
	m.list, m.places = "id", "$1"
	nulls := []interface{}{4}
	for n, a := range m.attributes {
		m.list += ", " + a.name
		m.places += fmt.Sprintf(", $%d", n+2)
		nulls = append(nulls, nil)
	}
	for place := 0; place < 3; place++ {
		row := []interface{}{place + 1}
		for _, a := range m.attributes {
			row = append(row, m.native(fmt.Sprintf("CAST(%s AS %s)", a.values[place], a.ty), a.ty))
		}
		m.rows = append(m.rows, row)
	}
	m.rows = append(m.rows, nulls)
	m.fill()
	m.run("SELECT * FROM TABLE ORDER BY id")
	for _, a := range m.attributes {
		m.run("SELECT id, " + a.name + " FROM TABLE WHERE " + a.name + " IS NULL")
		literal := m.native(fmt.Sprintf("quote_literal(CAST(CAST(%s AS %s) AS text))", a.beyond, a.ty), "text")
		m.run(fmt.Sprintf("INSERT INTO TABLE (id, %s) VALUES (5, %s)", a.name, literal))
		m.run("SELECT " + a.name + " FROM TABLE WHERE id = 5")
		m.run("DELETE FROM TABLE WHERE id = $1", 5)
	}
}

func (m *matrix) lookups() {
	for n, a := range m.attributes {
		if strings.Contains(a.store, "search: []") {
			continue
		}
		statement := "SELECT id, " + a.name + " FROM TABLE WHERE " + a.name + " = $1 ORDER BY id"
		for _, row := range m.rows[:3] {
			m.run(statement, row[n+1])
			m.same(statement, m.through.prepared(statement, row[n+1]), m.direct.prepared(statement, row[n+1]))
		}
		m.run("SELECT id FROM TABLE WHERE "+a.name+" IN ($1, $2) ORDER BY id", m.rows[0][n+1], m.rows[1][n+1])
	}
}

func (s side) prepared(statement string, value interface{}) string {
	prepared, err := s.db.Prepare(strings.Replace(statement, "TABLE", s.table, 1))
	if err != nil {
		return fault(err)
	}
	defer prepared.Close()
	var told string
	for time := 0; time < 3; time++ {
		rows, err := prepared.Query(value)
		if err != nil {
			return fault(err)
		}
		told += read(rows)
	}
	return told
}

func (m *matrix) changes() {
	for n, a := range m.attributes {
		for _, row := range []int{1, 3, 0} {
			m.run("UPDATE TABLE SET "+a.name+" = $1 WHERE id = $2 RETURNING id, "+a.name, m.rows[row][n+1], 3)
		}
		if a.invalid != "-" {
			m.run("UPDATE TABLE SET " + a.name + " = " + a.invalid + " WHERE id = 1")
			m.run("UPDATE TABLE SET "+a.name+" = $1 WHERE id = $2", "no such value", 1)
		}
	}
	m.run("INSERT INTO TABLE (id) VALUES ($1)", 1)
	m.run("SELECT nowhere FROM TABLE")
	m.run("SELEKT 1")
	m.run("SELECT * FROM TABLE ORDER BY id")
}

// Many executions of one prepared statement in one transaction.
func (s side) batch(m *matrix) string {
	transaction, err := s.db.Begin()
	must(err)
	prepared, err := transaction.Prepare("INSERT INTO " + s.table + " (" + m.list + ") VALUES (" + m.places + ")")
	must(err)
	var counted int64
	for n := 0; n < 30; n++ {
		row := append([]interface{}{100 + n}, m.rows[n%4][1:]...)
		result, err := prepared.Exec(row...)
		must(err)
		count, _ := result.RowsAffected()
		counted += count
	}
	must(prepared.Close())
	must(transaction.Commit())
	return fmt.Sprint(counted)
}

// DECLARE is refused over the treated table, and works over others.
func (m *matrix) cursors() {
	page := func(s side, table string) string {
		transaction, err := s.db.Begin()
		must(err)
		defer transaction.Rollback()
		if _, err := transaction.Exec("DECLARE page CURSOR FOR SELECT * FROM " + table + " ORDER BY id"); err != nil {
			return fault(err)
		}
		rows, err := transaction.Query("FETCH 2 FROM page")
		if err != nil {
			return fault(err)
		}
		defer rows.Close()
		return read(rows)
	}
	m.same("DECLARE", page(m.through, "every_type"), "pq.Error 0A000")
	m.same("FETCH", page(m.through, "shown"), page(m.direct, "shown"))
}

func (m *matrix) masks() {
	m.fill()
	m.same("masked", m.masked.ask("SELECT * FROM every_type ORDER BY id"), m.direct.ask("SELECT * FROM shown ORDER BY id"))
	m.same("masked", m.masked.ask("SELECT * FROM every_type WHERE id = $1", 1), m.direct.ask("SELECT * FROM shown WHERE id = $1", 1))
	for _, a := range m.attributes {
		m.same("masked "+a.name, m.masked.ask("SELECT id, "+a.name+" FROM every_type ORDER BY id"), m.direct.ask("SELECT id, "+a.name+" FROM shown ORDER BY id"))
	}
	m.same("assigned by a masked role", m.masked.ask("UPDATE every_type SET t = $1", "x"), "pq.Error 42501")
}

func main() {
	checks := 0
	for _, mode := range []string{"", "binary_parameters=yes"} {
		m := matrix{attributes: load(os.Args[1]), through: open(os.Args[2], "every_type", mode),
			direct: open(os.Args[3], "twin", mode), masked: open(os.Args[4], "every_type", mode)}
		m.values()
		m.lookups()
		m.changes()
		m.same("a batch", m.through.batch(&m), m.direct.batch(&m))
		m.run("SELECT * FROM TABLE WHERE id >= 100 ORDER BY id")
		m.cursors()
		m.masks()
		checks += m.checks
	}
	fmt.Printf("Go's lib/pq: %d checks hold\n", checks)
}
