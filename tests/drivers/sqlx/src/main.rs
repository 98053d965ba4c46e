//! sqlx: binary only, prepared and described first; the same through pgveil and directly.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgConnection, PgRow, PgTypeInfo, PgValueFormat};
use sqlx::types::chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use sqlx::types::{JsonValue, Uuid};
use sqlx::{
    Column, Connection, Encode, Executor, Postgres, QueryBuilder, Row, Type, TypeInfo, ValueRef,
};

/// One line of the data file.
struct Attribute {
    name: String,
    ty: String,
    is_compared: bool,
    values: Vec<String>,
    invalid: Option<String>,
}

/// A value of any type, as the driver has it on the wire.
#[derive(Clone)]
struct Value {
    ty: PgTypeInfo,
    bytes: Option<Vec<u8>>,
}

impl Type<Postgres> for Value {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("text")
    }

    fn compatible(_: &PgTypeInfo) -> bool {
        true
    }
}

impl Encode<'_, Postgres> for Value {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let Some(bytes) = &self.bytes else {
            return Ok(IsNull::Yes);
        };
        buffer.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.ty.clone())
    }
}

/// What a side answered: of each row the names, types and bytes; or the SQLSTATE.
type Answer = Result<Vec<String>, String>;

struct Side {
    connection: PgConnection,
    table: &'static str,
}

impl Side {
    async fn open(url: &str, table: &'static str) -> Self {
        let connection = PgConnection::connect(url).await.expect("a connection");
        Self { connection, table }
    }

    async fn ask(&mut self, statement: &str, values: &[Value]) -> Answer {
        let statement = statement.replace("TABLE", self.table);
        let mut query = sqlx::query(&statement);
        for value in values {
            query = query.bind(value.clone());
        }
        let rows = query.fetch_all(&mut self.connection).await;
        rows.map(|rows| rows.iter().map(told).collect())
            .map_err(|fault| sqlstate(&fault))
    }

    /// A text of the simple protocol, which may hold several statements.
    async fn simple(&mut self, text: &str) -> Answer {
        let text = text.replace("TABLE", self.table);
        let rows = self.connection.fetch_all(sqlx::raw_sql(&text)).await;
        rows.map(|rows| rows.iter().map(told).collect())
            .map_err(|fault| sqlstate(&fault))
    }

    /// sqlx's own types, one of each that the fixed part of the data file has.
    async fn typed(&mut self) -> String {
        let statement = format!(
            "SELECT t, i4, i8, b, d, ts, tz, u, bin, j FROM {} ORDER BY id",
            self.table
        );
        type Typed = (
            Option<String>,
            Option<i32>,
            Option<i64>,
            Option<bool>,
            Option<NaiveDate>,
            Option<NaiveDateTime>,
            Option<DateTime<Utc>>,
            Option<Uuid>,
            Option<Vec<u8>>,
            Option<JsonValue>,
        );
        let rows: Vec<Typed> = sqlx::query_as(&statement)
            .fetch_all(&mut self.connection)
            .await
            .expect("rows");
        format!("{rows:?}")
    }

    /// Rows in one INSERT, as sqlx builds it.
    async fn batch(&mut self, list: &str, rows: &[Vec<Value>]) -> u64 {
        let mut insert =
            QueryBuilder::<Postgres>::new(format!("INSERT INTO {} ({list}) ", self.table));
        insert.push_values(rows, |mut places, row| {
            for value in row {
                places.push_bind(value.clone());
            }
        });
        let done = insert
            .build()
            .execute(&mut self.connection)
            .await
            .expect("a batch");
        done.rows_affected()
    }
}

fn sqlstate(fault: &sqlx::Error) -> String {
    let database = fault.as_database_error();
    let code = database.and_then(|fault| fault.code());
    let kind = database.map(|fault| format!("{:?}", fault.kind()));
    format!("{code:?} {kind:?}")
}

fn told(row: &PgRow) -> String {
    let cell = |place: usize| {
        let value = row.try_get_raw(place).expect("a column");
        let format = match value.format() {
            PgValueFormat::Text => "text",
            PgValueFormat::Binary => "binary",
        };
        let bytes = (!value.is_null()).then(|| value.as_bytes().expect("bytes").to_vec());
        let column = row.column(place);
        format!(
            "{} {} {format} {bytes:?}",
            column.name(),
            column.type_info().name()
        )
    };
    (0..row.len()).map(cell).collect::<Vec<_>>().join("\n")
}

struct Matrix {
    attributes: Vec<Attribute>,
    rows: Vec<Vec<Value>>,
    through: Side,
    direct: Side,
    masked: Side,
    tokened: Side,
    list: String,
    places: String,
    checks: usize,
}

impl Matrix {
    fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, through: T, direct: T) {
        self.checks += 1;
        assert!(
            through == direct,
            "{what}: the answers differ\n  pgveil: {through:?}\n  direct: {direct:?}"
        );
    }

    async fn run(&mut self, statement: &str, values: &[Value]) -> Answer {
        let through = self.through.ask(statement, values).await;
        let direct = self.direct.ask(statement, values).await;
        self.same(statement, through.clone(), direct);
        through
    }

    async fn must(&mut self, statement: &str, values: &[Value]) -> Vec<String> {
        let answer = self.run(statement, values).await;
        answer.unwrap_or_else(|fault| panic!("{statement}: {fault}"))
    }

    async fn native(&mut self, expression: &str) -> Value {
        let statement = format!("SELECT {expression}");
        let row = sqlx::query(&statement)
            .fetch_one(&mut self.direct.connection)
            .await
            .expect("a value");
        let value = row.try_get_raw(0).expect("a column");
        let bytes = (!value.is_null()).then(|| value.as_bytes().expect("bytes").to_vec());
        Value {
            ty: row.column(0).type_info().clone(),
            bytes,
        }
    }

    async fn literal(&mut self, attribute: usize) -> String {
        let Attribute { ty, values, .. } = &self.attributes[attribute];
        let statement = format!(
            "SELECT quote_literal(CAST(CAST({} AS {ty}) AS text))",
            values[3]
        );
        sqlx::query_scalar(&statement)
            .fetch_one(&mut self.direct.connection)
            .await
            .expect("a literal")
    }

    async fn fill(&mut self) {
        for side in [&mut self.through, &mut self.direct] {
            side.ask("DELETE FROM TABLE", &[])
                .await
                .expect("an empty table");
        }
        let insert = format!(
            "INSERT INTO TABLE ({}) VALUES ({}) RETURNING *",
            self.list, self.places
        );
        for row in self.rows.clone() {
            self.must(&insert, &row).await;
        }
        self.must("SELECT * FROM TABLE ORDER BY id", &[]).await;
    }

    async fn values(&mut self) {
        for place in 0..3 {
            let mut row = vec![self.native(&format!("{}", place + 1)).await];
            for n in 0..self.attributes.len() {
                let Attribute { ty, values, .. } = &self.attributes[n];
                let expression = format!("CAST({} AS {ty})", values[place]);
                row.push(self.native(&expression).await);
            }
            self.rows.push(row);
        }
        let mut nulls = self.rows[0].clone();
        nulls.iter_mut().for_each(|value| value.bytes = None);
        nulls[0] = self.native("4").await;
        self.rows.push(nulls);
        self.fill().await;
    }

    async fn attribute(&mut self, n: usize) {
        let name = self.attributes[n].name.clone();
        let (three, five) = (self.native("3").await, self.native("5").await);
        self.must(
            &format!("SELECT id, {name} FROM TABLE WHERE {name} IS NULL"),
            &[],
        )
        .await;
        let beyond = self.literal(n).await;
        self.must(
            &format!("INSERT INTO TABLE (id, {name}) VALUES (5, {beyond})"),
            &[],
        )
        .await;
        self.must(&format!("SELECT {name} FROM TABLE WHERE id = 5"), &[])
            .await;
        self.must("DELETE FROM TABLE WHERE id = $1", &[five]).await;
        if self.attributes[n].is_compared {
            for row in 0..3 {
                let found = format!("SELECT id, {name} FROM TABLE WHERE {name} = $1 ORDER BY id");
                for _ in 0..3 {
                    let value = self.rows[row][n + 1].clone();
                    assert!(!self.must(&found, &[value]).await.is_empty(), "{name}");
                }
            }
            let either = [self.rows[0][n + 1].clone(), self.rows[1][n + 1].clone()];
            self.must(
                &format!("SELECT id FROM TABLE WHERE {name} IN ($1, $2) ORDER BY id"),
                &either,
            )
            .await;
        }
        for row in [1, 3, 0] {
            let values = [self.rows[row][n + 1].clone(), three.clone()];
            self.must(
                &format!("UPDATE TABLE SET {name} = $1 WHERE id = $2 RETURNING id, {name}"),
                &values,
            )
            .await;
        }
        if let Some(invalid) = self.attributes[n].invalid.clone() {
            let update = format!("UPDATE TABLE SET {name} = {invalid} WHERE id = 1");
            assert!(self.run(&update, &[]).await.is_err(), "{update}");
        }
    }

    async fn others(&mut self) {
        let one = self.native("1").await;
        for (statement, values) in [
            ("INSERT INTO TABLE (id) VALUES ($1)", vec![one]),
            ("SELECT nowhere FROM TABLE", vec![]),
            ("SELEKT 1", vec![]),
        ] {
            assert!(self.run(statement, &values).await.is_err(), "{statement}");
        }
        let text = "SELECT * FROM TABLE ORDER BY id; SELECT t FROM TABLE WHERE i4 = 42";
        let answers = (
            self.through.simple(text).await,
            self.direct.simple(text).await,
        );
        self.same("the simple protocol", answers.0, answers.1);
        let (through, direct) = (self.through.typed().await, self.direct.typed().await);
        self.same("sqlx's types", through, direct);
        let mut rows = Vec::new();
        for n in 0..30 {
            let mut row = self.rows[n % 4].clone();
            row[0] = self.native(&format!("{}", 100 + n)).await;
            rows.push(row);
        }
        let list = self.list.clone();
        let counts = (
            self.through.batch(&list, &rows).await,
            self.direct.batch(&list, &rows).await,
        );
        self.same("a batch", counts.0, counts.1);
        self.must("SELECT * FROM TABLE WHERE id >= 100 ORDER BY id", &[])
            .await;
    }

    /// DECLARE is refused over the treated table, and works over others.
    async fn cursors(&mut self) {
        self.through.simple("BEGIN").await.expect("a transaction");
        let refused = self
            .through
            .ask("DECLARE page CURSOR FOR SELECT * FROM TABLE", &[])
            .await;
        self.through.simple("ROLLBACK").await.expect("its end");
        assert!(
            refused.is_err_and(|fault| fault.contains("0A000")),
            "DECLARE"
        );
        let page = "BEGIN; DECLARE page CURSOR FOR SELECT * FROM shown ORDER BY id; FETCH 2 FROM page; COMMIT";
        let answers = (
            self.through.simple(page).await,
            self.direct.simple(page).await,
        );
        self.same("FETCH", answers.0, answers.1);
    }

    async fn masks(&mut self) {
        self.fill().await;
        let mut lists = vec!["*".to_owned()];
        lists.extend(self.attributes.iter().map(|a| format!("id, {}", a.name)));
        for list in lists {
            let text = format!("SELECT {list} FROM every_type ORDER BY id");
            let masked = self.masked.ask(&text, &[]).await;
            let tokened = self.tokened.ask(&text, &[]).await;
            for (seen, table) in [(masked, "shown"), (tokened, "tokens")] {
                let text = format!("SELECT {list} FROM {table} ORDER BY id");
                let copy = self.direct.ask(&text, &[]).await;
                assert!(seen.is_ok(), "{list}: {seen:?}");
                self.same(&format!("{table} {list}"), seen, copy);
            }
        }
        let text = self.native("'x'::text").await;
        let refused = self
            .masked
            .ask("UPDATE every_type SET t = $1", &[text])
            .await;
        assert!(
            refused.is_err_and(|fault| fault.contains("42501")),
            "assigned by a masked role"
        );
    }
}

fn load(path: &str) -> Vec<Attribute> {
    let text = std::fs::read_to_string(path).expect("the data file");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let attribute = |line: &str| {
        let cells: Vec<_> = line
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect();
        Attribute {
            name: cells[0].clone(),
            ty: cells[1].clone(),
            is_compared: !cells[2].contains("search: []"),
            values: cells[3..7].to_vec(),
            invalid: Some(cells[7].clone()).filter(|value| value != "-"),
        }
    };
    lines.map(attribute).collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, through, direct, masked, tokened] = &arguments[..] else {
        panic!("sqlx-matrix ATTRIBUTES THROUGH DIRECT MASKED TOKENED");
    };
    let attributes = load(path);
    let names: Vec<_> = attributes.iter().map(|a| a.name.clone()).collect();
    let places: Vec<_> = (1..=names.len() + 1).map(|n| format!("${n}")).collect();
    let mut matrix = Matrix {
        rows: Vec::new(),
        through: Side::open(through, "every_type").await,
        direct: Side::open(direct, "twin").await,
        masked: Side::open(masked, "every_type").await,
        tokened: Side::open(tokened, "every_type").await,
        list: format!("id, {}", names.join(", ")),
        places: places.join(", "),
        checks: 0,
        attributes,
    };
    matrix.values().await;
    for n in 0..matrix.attributes.len() {
        matrix.attribute(n).await;
    }
    matrix.others().await;
    matrix.cursors().await;
    matrix.masks().await;
    println!("sqlx 0.8: {} checks hold", matrix.checks);
}
