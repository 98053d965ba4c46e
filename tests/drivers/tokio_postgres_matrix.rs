//! tokio-postgres: parameters in text and in binary, results in binary, and the simple protocol.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type};
use tokio_postgres::{Client, Statement};

use super::programs::say;
use super::table::{self, Attribute, lines};
use super::{Sides, sides, support};

/// A value as it is on the wire, whatever its type.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Raw {
    bytes: Vec<u8>,
    is_text: bool,
}

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self {
            bytes: raw.to_vec(),
            is_text: false,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        if self.is_text {
            Format::Text
        } else {
            Format::Binary
        }
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A parameter; None is NULL.
type Value = Option<Raw>;

/// What one side answered: the statement's parameters and columns, and the rows as they were on the wire.
type Answer = (Vec<u32>, Vec<(String, u32, i32)>, Vec<Vec<Value>>);

/// One connection through pgveil, one direct, and what has been compared.
struct Pair {
    through: Client,
    direct: Client,
    checks: usize,
}

impl Pair {
    async fn connect(through: &str, direct: &str) -> Self {
        Self {
            through: support::connect(through).await,
            direct: support::connect(direct).await,
            checks: 0,
        }
    }

    /// A value of the data file, in both forms.
    async fn value(&self, attribute: &Attribute, sql: &str) -> [Value; 2] {
        let value = format!("CAST({sql} AS {})", attribute.ty);
        let binary = self
            .direct
            .query_one(&format!("SELECT {value}"), &[])
            .await
            .expect("a value");
        let text = lines(&self.direct, &format!("SELECT {value}")).await;
        let text = text[0][0].clone().map(|t| Raw {
            bytes: t.into_bytes(),
            is_text: true,
        });
        [text, binary.get(0)]
    }

    /// Prepares and runs a statement on both sides, and holds the answers against each other; then again, its
    /// parameters declared of the types that PostgreSQL told.
    async fn same(&mut self, statement: &str, parameters: &[Value], times: usize) -> Answer {
        let plain = self
            .direct
            .prepare(&statement.replace("TABLE", "twin"))
            .await;
        let plain = plain.unwrap_or_else(|e| panic!("{statement}: {e:?}"));
        let answer = self.with(statement, &[], parameters, times).await;
        if parameters.is_empty() || statement.starts_with("INSERT") {
            return answer;
        }
        self.with(statement, plain.params(), parameters, times)
            .await
    }

    async fn with(
        &mut self,
        statement: &str,
        declared: &[Type],
        parameters: &[Value],
        times: usize,
    ) -> Answer {
        let texts = ["every_type", "twin"].map(|table| statement.replace("TABLE", table));
        let sealed = self.through.prepare_typed(&texts[0], declared).await;
        let sealed = sealed.unwrap_or_else(|e| panic!("{statement}, {declared:?}: {e:?}"));
        let plain = self.direct.prepare_typed(&texts[1], declared).await;
        let plain = plain.expect("PostgreSQL takes it");
        let mut answer = Vec::new();
        for _ in 0..times {
            let sealed = ask(&self.through, &sealed, parameters).await;
            answer.push(ask(&self.direct, &plain, parameters).await);
            assert_eq!(Some(&sealed), answer.last(), "{statement}, {declared:?}");
            self.checks += 1;
        }
        answer.pop().expect("it ran")
    }
}

/// What other roles are shown of the first rows that the pair has just written, and how they find them.
async fn shown(pair: &mut Pair, sides: &Sides, rows: &[Vec<Value>]) {
    let masked = support::connect(&sides.masked).await;
    let tokened = support::connect(&sides.tokened).await;
    let (attributes, mut checks) = (table::attributes(), 0);
    for (client, copy) in [(&masked, "shown"), (&tokened, "tokens")] {
        let mut lists = vec!["*".to_owned()];
        lists.extend(attributes.iter().map(|a| format!("{}, id", a.name)));
        for list in lists {
            let [sealed, plain] = ["every_type", copy]
                .map(|table| format!("SELECT {list} FROM {table} WHERE id < 4 ORDER BY id"));
            let expected = once(&pair.direct, &plain, &[]).await;
            assert_eq!(once(client, &sealed, &[]).await, expected, "{sealed}");
            checks += 1;
        }
    }
    for (column, attribute) in attributes.iter().enumerate() {
        let name = attribute.name;
        let text = |list: &str, table: &str| {
            format!("SELECT {list} FROM {table} WHERE {name} = $1 AND id < 4 ORDER BY id")
        };
        for (place, row) in rows.iter().enumerate().take(3) {
            if attribute.is_compared() {
                let value = [row[column + 1].clone()];
                let found = once(&masked, &text("id", "every_type"), &value).await;
                let expected = once(&pair.direct, &text("id", "twin"), &value).await;
                assert_eq!(found, expected, "{name}, masked");
                checks += 1;
            }
            if attribute.is_found_by_token {
                let token = format!("SELECT {name} FROM tokens WHERE id = {}", place + 1);
                let token = [once(&pair.direct, &token, &[]).await.2[0][0].clone()];
                let list = format!("id, {name}");
                let found = once(&tokened, &text(&list, "every_type"), &token).await;
                let expected = once(&pair.direct, &text(&list, "tokens"), &token).await;
                assert_eq!(found, expected, "{name}, by its token");
                assert!(!found.2.is_empty(), "{name}, by its token");
                checks += 1;
            }
        }
    }
    pair.checks += checks;
}

async fn once(client: &Client, text: &str, parameters: &[Value]) -> Answer {
    let statement = client.prepare(text).await;
    let statement = statement.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    ask(client, &statement, parameters).await
}

async fn ask(client: &Client, statement: &Statement, parameters: &[Value]) -> Answer {
    let parameters = parameters.iter().map(|p| p as &(dyn ToSql + Sync));
    let parameters: Vec<_> = parameters.collect();
    let rows = client.query(statement, &parameters).await.expect("rows");
    let columns = statement.columns().iter();
    (
        statement.params().iter().map(Type::oid).collect(),
        columns
            .map(|c| (c.name().to_owned(), c.type_().oid(), c.type_modifier()))
            .collect(),
        rows.iter()
            .map(|row| (0..row.len()).map(|i| row.get(i)).collect())
            .collect(),
    )
}

fn places(count: usize) -> String {
    let places = (1..=count).map(|n| format!("${n}")).collect::<Vec<_>>();
    places.join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn tokio_postgres_reads_each_type_as_from_plain_tables() {
    let sides = sides().await;
    let mut pair = Pair::connect(&sides.through, &sides.direct).await;
    let attributes = table::attributes();
    let list = table::select_list();
    for form in 0..2 {
        pair.same("DELETE FROM TABLE", &[], 1).await;
        let mut rows: Vec<Vec<Value>> = Vec::new();
        for place in 0..4 {
            let id = 1 + i32::try_from(place).expect("small");
            let mut row = vec![Some(Raw {
                bytes: id.to_be_bytes().to_vec(),
                is_text: false,
            })];
            for attribute in &attributes {
                row.push(pair.value(attribute, attribute.values[place]).await[form].clone());
            }
            let count = places(row.len());
            let insert = format!("INSERT INTO TABLE ({list}) VALUES ({count}) RETURNING *");
            pair.same(&insert, &row, 1).await;
            rows.push(row);
        }
        let nulls = "INSERT INTO TABLE (id) VALUES (5) RETURNING *";
        pair.same(nulls, &[], 1).await;
        pair.same("SELECT * FROM TABLE ORDER BY id", &[], 3).await;
        shown(&mut pair, &sides, &rows).await;
        for (column, attribute) in attributes.iter().enumerate() {
            let name = attribute.name;
            for row in &rows {
                let update = format!("UPDATE TABLE SET {name} = $1 WHERE id = 5 RETURNING *");
                pair.same(&update, &[row[column + 1].clone()], 1).await;
                if attribute.is_compared() {
                    let found =
                        format!("SELECT id, {name} FROM TABLE WHERE {name} = $1 ORDER BY id");
                    let (_, _, found) = pair.same(&found, &[row[column + 1].clone()], 2).await;
                    assert!(!found.is_empty(), "{name}");
                    let either =
                        format!("SELECT id FROM TABLE WHERE {name} IN ($1, $2) ORDER BY id");
                    let values = [row[column + 1].clone(), rows[0][column + 1].clone()];
                    pair.same(&either, &values, 1).await;
                }
            }
            let update = format!("UPDATE TABLE SET {name} = $1 WHERE id = 5");
            pair.same(&update, &[None], 1).await;
            let null = format!("SELECT id FROM TABLE WHERE {name} IS NULL");
            pair.same(&null, &[], 1).await;
        }
    }
    say(&format!("tokio-postgres 0.7: {} checks hold", pair.checks));
}

/// PostgreSQL gives the elements of a list one type, and a single one its own: beside a char(n) the spaces at a text's
/// end count only there, beside a float4 a number's digits.
#[tokio::test(flavor = "multi_thread")]
async fn lists_are_of_one_type_as_from_plain_tables() {
    let sides = sides().await;
    let mut pair = Pair::connect(&sides.through, &sides.direct).await;
    let insert = "INSERT INTO TABLE (id, c, f4) VALUES (1, 'ab', 0.1), (2, 'c', 16777216), (3, '', 5) RETURNING id";
    pair.same(insert, &[], 1).await;
    let texts = [Type::TEXT, Type::VARCHAR, Type::BPCHAR, Type::UNKNOWN];
    let numbers = [Type::FLOAT4, Type::FLOAT8, Type::NUMERIC, Type::UNKNOWN];
    let integers = [Type::INT8, Type::INT4, Type::FLOAT4, Type::UNKNOWN];
    for (name, values, types) in [
        ("c", &["ab", "ab  ", "ab\u{a0}", "abc", ""][..], texts),
        ("f4", &["0.1", "5", "16777217"][..], numbers),
        ("f4", &["16777217", "16777216", "5"][..], integers),
    ] {
        for value in values {
            let value = Some(Raw {
                bytes: value.as_bytes().to_vec(),
                is_text: true,
            });
            for first in &types {
                for test in ["= $1", "IN ($1)", "NOT IN ($1)"] {
                    let statement = format!("SELECT id FROM TABLE WHERE {name} {test} ORDER BY id");
                    pair.with(
                        &statement,
                        std::slice::from_ref(first),
                        std::slice::from_ref(&value),
                        1,
                    )
                    .await;
                }
                for second in &types {
                    let declared = [first.clone(), second.clone()];
                    for test in ["IN ($1, $2)", "NOT IN ($1, $2)"] {
                        let statement =
                            format!("SELECT id FROM TABLE WHERE {name} {test} ORDER BY id");
                        let values = [value.clone(), value.clone()];
                        pair.with(&statement, &declared, &values, 1).await;
                    }
                }
            }
        }
    }
    for test in [
        "c IN ('ab  ', 'z')",
        "c IN ('ab  ')",
        "f4 IN (0.1)",
        "f4 IN (0.1, 3)",
        "f4 IN ('0.1', 3)",
        "f4 = ANY (ARRAY[0.1, 3])",
        "f4 IN (16777217, 3)",
        "f4 IN (16777217)",
        "f4 NOT IN (0.1, 16777217)",
    ] {
        let statement = format!("SELECT id FROM TABLE WHERE {test} ORDER BY id");
        pair.same(&statement, &[], 1).await;
    }
    say(&format!("lists: {} checks hold", pair.checks));
}

/// The value as the literal a client would write: the type's own text, quoted, and where it may be, bare.
async fn literals(direct: &Client, attribute: &Attribute) -> Vec<String> {
    let mut literals = Vec::new();
    for sql in attribute.values {
        let quoted = format!("SELECT quote_literal(CAST({sql} AS {}))", attribute.ty);
        let text = lines(direct, &quoted).await[0][0].clone();
        literals.push(text.expect("no value of the data file is NULL"));
    }
    literals
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simple_protocol_reads_each_type_as_from_plain_tables() {
    let sides = sides().await;
    let pair = Pair::connect(&sides.through, &sides.direct).await;
    let attributes = table::attributes();
    let mut statements = Vec::new();
    let mut rows = vec![String::new(); 4];
    for attribute in &attributes {
        let name = attribute.name;
        for (row, literal) in literals(&pair.direct, attribute).await.iter().enumerate() {
            rows[row].push_str(&format!(", {literal}"));
            statements.push(format!(
                "UPDATE TABLE SET {name} = {literal} WHERE id = 5 RETURNING *"
            ));
            if attribute.is_compared() {
                statements.push(format!(
                    "SELECT id FROM TABLE WHERE {name} = {literal} ORDER BY id"
                ));
                statements.push(format!(
                    "SELECT id FROM TABLE x WHERE x.{name} IN ({literal}) ORDER BY id"
                ));
                statements.push(format!(
                    "SELECT count(*) FROM TABLE WHERE {name} <> {literal}"
                ));
            }
        }
    }
    statements.push("SELECT id FROM TABLE WHERE i4 = -2147483648".to_owned());
    statements
        .push("UPDATE TABLE SET i8 = -5, b = false WHERE id = 1 RETURNING id, i8, b".to_owned());
    statements
        .push("SELECT i8 FROM TABLE WHERE id = 1; SELECT b FROM TABLE WHERE id = 1".to_owned());
    let rows: Vec<_> = rows
        .iter()
        .enumerate()
        .map(|(id, row)| format!("({}{row})", id + 1))
        .collect();
    let nulls = format!("(5{})", ", NULL".repeat(attributes.len()));
    let list = table::select_list();
    let insert = format!(
        "INSERT INTO TABLE ({list}) VALUES {}, {nulls} RETURNING *",
        rows.join(", ")
    );
    statements.insert(0, insert);
    for statement in &statements {
        let sealed = lines(&pair.through, &statement.replace("TABLE", "every_type")).await;
        let plain = lines(&pair.direct, &statement.replace("TABLE", "twin")).await;
        assert_eq!(sealed, plain, "{statement}");
    }
    say(&format!(
        "the simple protocol: {} checks hold",
        statements.len()
    ));
}
