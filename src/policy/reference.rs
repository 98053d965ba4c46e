//! The policy language for people and for editors: `policies/REFERENCE.md` and `policies/policy.schema.json`.
//!
//! Both come from the model and its doc comments. Knows nothing of a policy at hand.

use std::cell::Cell;
use std::fmt::Write;

use schemars::{Schema, schema_for};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_json::Value;

use super::model;

/// The JSON Schema of the policy language.
pub fn schema() -> String {
    let mut schema = schema_for!(model::Policy).to_value();
    forbid_empty(&mut schema);
    format!("{schema:#}\n")
}

/// A key may be left out, and may not be null: to the schema's author these are one, to this language two.
/// The word `null` itself is a choice (`oneOf`) and stays.
fn forbid_empty(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Array(kinds)) = object.get_mut("type") {
                kinds.retain(|kind| kind != "null");
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
            }
            object.values_mut().for_each(forbid_empty);
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_empty),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The reference of the policy language, in Markdown.
pub fn reference() -> String {
    let schema = schema_for!(model::Policy);
    let mut text = HEAD.to_owned();
    let mut waiting = String::new();
    for Chapter { title, name, words } in chapters() {
        let definition = definition(&schema, name);
        let about = described(definition).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(text, "\n## {title}\n\n{about}\n\n");
        for word in words {
            let about = about_word(definition, word).unwrap_or_default();
            let needed = if is_required(definition, word) {
                " (required)"
            } else {
                ""
            };
            let _ = writeln!(text, "- **`{word}`**{needed}: {about}");
            if about.contains(model::NOT_ENFORCED) {
                let _ = writeln!(waiting, "- `{word}` ({title})");
            }
        }
    }
    let _ = write!(text, "{WAITING}{waiting}{TAIL}");
    text
}

const HEAD: &str = "# The policy language

<!-- Generated from src/policy/model.rs; refresh with: UPDATE_DOCS=1 cargo test --lib policy::reference -->

A policy says who is who, how each sensitive column lies in the database, and what each role gets of it. It is a
YAML file under version control; `pgveil check` holds it against the live database. A fault names file, line,
column, what was expected, and the nearest valid word.

An editor that knows JSON Schema completes and checks a policy whose first line is

```yaml
# yaml-language-server: $schema=policy.schema.json
```

```yaml
version: 1
roles:
  - name: app
    match: { user: crm_app }
  - name: support
    match: { user: \"support_*\", network: [10.0.0.0/8, \"::1/128\"] }
  - name: analyst
    match: { user: bi }

domains:
  contact_email: {}

tables:
  public.customers:
    columns:
      email:
        store: { encrypt: { domain: contact_email, search: [equal] } }
        show: { app: plain, support: { mask: email }, analyst: { token: email }, \"*\": null }
        compare: { support: [equal] }
      birth_date:
        store: { encrypt: { search: [] } }
        show: { app: plain, support: { mask: { generalise: year } }, \"*\": refuse }
      phone:
        store: { tokenise: { format: digits, keep_first: 3 } }
        show: { app: plain, support: { mask: { partial: { last: 4 } } }, \"*\": stored }
      notes:
        show: { app: plain, \"*\": { mask: redact } }
```

A word that is valid but not enforced by this version yet is an error, never ignored. A word that takes a mapping
may stand alone where the mapping needs nothing: `store: encrypt` is `store: { encrypt: {} }`.
";

const WAITING: &str = "
## Not enforced by this version yet

These words are valid, and refused so that nobody relies on them:

";

const TAIL: &str = "
## What is treated

Columns of tables, of the types `text`, `varchar`, `varchar(n)`, `char(n)`, `citext`, `int2`, `int4`, `int8`, `float4`,
`float8`, `numeric`, `numeric(p,s)`, `bool`, `date`, `time`, `timetz`, `timestamp`, `timestamptz`, `interval`, `inet`,
`cidr`, `macaddr`, `uuid`, `bytea`, `json`, `jsonb`, enums, domains over these, and arrays of one dimension, sealed
whole. A domain is refused whose CHECK or default the server could not keep over sealed values, or whose NOT NULL the
column does not have of its own. Tokens are for `text`, `varchar` and `varchar(n)`, those of `integer` for `int4` and
`int8`, of `date` for `date`, of `uuid` for `uuid`. A generated column can be masked, not sealed or tokenised.

PostgreSQL calls values of some types equal that are written differently: `numeric` without a scale, `float4`, `float8`,
`interval`, `bpchar` without a length, `jsonb` (`1.0` and `1.00`, `1 mon` and `30 days`), and arrays of these, whose
bounds and NULLs count. With `equal` such a value carries a keyed term of its normal form, and comparisons go by the
first 26 bytes of what is stored: `pg_catalog.substring(column, 1, 26)`. `=`, `<>`, `IN`, `ANY`, `IS DISTINCT FROM`,
`JOIN … ON`, `count(DISTINCT …)` and `SELECT DISTINCT` (as `DISTINCT ON` these bytes, in place of the column) work;
`GROUP BY`, `DISTINCT ON`, `UNION`, `USING`, window partitions and `ON CONFLICT` on the column are refused. `apply`
builds its indexes again over that expression, a `UNIQUE` constraint as a unique index; it refuses primary keys, foreign
keys and deferrable constraints on the column. An index made later has to be on that expression.

`equal` on `citext` and its arrays goes by such a term too, in a database whose `LC_CTYPE` is `C` or `POSIX` (of the
provider libc, or the built-in locale `C`), and is refused in any other. A citext is equal by the server's `lower()`
under the database's default collation. There it changes the letters of ASCII and no other, for good. Elsewhere it is
libc's, ICU's or Unicode's of the day: an upgrade of the system, or a dump restored into a database of another locale,
changes which values are equal, and terms under stored values would not follow; ICU looks at a letter's neighbours
besides (a final sigma), so that no list of characters tells all that it does. A column restored where `lower()` is
another is not ready (55000), rather than searched in vain. Beside a `text` or `varchar`, as drivers may declare a
parameter, PostgreSQL compares a citext as a text: that is refused (0A000); leave the type open, or cast to `citext`.

A parameter counts as what the driver declares it to be, as with PostgreSQL. Where that is another type than the
column's, and PostgreSQL would compare by the other one, a comparison is refused (0A000) rather than answered otherwise:
a `varchar` beside one parameter declared `char(n)`; and of `float4`, `char(n)` and `bpchar`, whose elements in an `IN`
list count otherwise than one by itself, lists that PostgreSQL gives another type by a cast (of `float4` also parameters
beside constants). Leave the type open, or declare the column's.

`equal` is refused on `json`, which has no equality, and on arrays of it. `apply` refuses it on a column whose collation
is nondeterministic: which texts such a collation calls equal only the server's own version of ICU says.

Sealed values are read and printed as the session's `DateStyle`, `TimeZone`, `IntervalStyle` and `bytea_output` say, and
as the server's version does: what is stored is the same under each, and a value that an older server does not have (an
infinite `interval` before 17, an infinite `numeric` before 14) is an error there.
Nothing reports `extra_float_digits`: floats are printed with the shortest digits that read back, and a session that may
have set it to 0 or less is refused them.

A column that the policy treats and the database does not hold so (not applied, altered since, of a type that does
not fit) is *not ready*: statements on it are refused with 55000, everything else goes on.

## Writing

Only a role that is shown a column `plain` may assign it; others may leave it out (42501 otherwise). Lengths and
syntax are checked as PostgreSQL would, with its SQLSTATE.

## What each treatment leaks

Always, to whoever reads the database or sees its traffic: which values are NULL, how many rows there are, when
and which rows change, and what is stored plain.

| treatment | to the database's side | to a role that is shown it |
|---|---|---|
| `store: plain` | everything | as `show` says |
| `encrypt`, no `search` | each value's length | |
| `encrypt`, `search: [equal]` | lengths; which values of the domain are equal, and how often each occurs | |
| `tokenise` | which values of the domain are equal, how often each occurs; length, shape, the characters kept | |
| `show: plain` | | the value |
| `show: { mask: … }` | | what the mask keeps, see there |
| `show: { token: … }`, `stored` of a tokenised column | | which values are equal; length, shape, the characters kept |
| `show: stored` of a sealed column | | lengths, and equality with `equal` |
| `show: null` | | nothing |
| `show: refuse` | | nothing, not even that there is a row |
| `compare: [equal]` | | whether a value is the one guessed: who can guess all values can find each |

A sealed value may be copied to another row, and to another column of the same named domain, by who can write to
the database, and still opens; a column in a domain of its own takes values of no other column. A token carries no
seal: who can write to the database can put another in its place.

## Limits of tokens

Tokens are made with FF1 (NIST SP 800-38G rev. 1), which needs at least 1,000,000 possible values. A value that has
fewer left to replace, or is not of its format, is refused when it is written (22023, with the figure). A compared
value that has no token equals no stored one.

| format | types | values | kept, and so leaked | what has no token |
|---|---|---|---|---|
| `digits` | text | 10 for each replaced digit | the other characters, the digits kept | fewer than 6 digits left: of `keep_first: 3`, a value needs nine; more than 256 |
| `alphanumeric` | text | 10 for each digit, 26 for each letter | the other characters, the kind of each, those kept | fewer than 10^6 values: less than 6 digits, 5 letters, or 4 and 1, 3 and 2, 2 and 4, 1 and 5; more than 256 |
| `email` | text | 32^8 and more | the domain part; the length to within five bytes | a local part of more than 256 bytes; a token longer than its `varchar(n)` (22001) |
| `bank_card` | text | 10 for each replaced digit but one | the other characters, the digits kept, the Luhn sum | fewer than 7 digits left: sixteen digits can keep nine; more than 256 |
| `id_number` | text | 73,049,000; of fifteen digits 36,524,000 | the region; whether the check digit is right | what is no identity number; birthdays before 1900 and after 2099 |
| `uuid` | uuid | 2^122 | version and variant | |
| `integer` | int4, int8 | 2^31, 2^63 for each sign | the sign | the lowest value of the type; an int2 is too small for FF1 |
| `date` | date | 3,652,059 | nothing | BC, beyond 9999, the infinities |

A small set of values stays guessable to who may compare or write: a token hides a value, not that two are the same.
Tokens of `integer` depend on the type: columns of one domain are all int4 or all int8.

## Domains

A column without a domain has one of its own, named `schema.table.column`; its values open nowhere else. Columns of
one declared domain share a key: equal values are equal bytes, so that they can be joined. They must agree in the
kind of type, in `store` and in `show`. A column's domain is part of how it was applied: to change it, revert and
apply again. That a domain is declared, not how many columns it has, decides this: adding a second column to a
declared domain changes nothing for the first.
";

/// One mapping or choice of words.
struct Chapter {
    title: &'static str,
    /// its name in the schema
    name: &'static str,
    /// its keys or words, in the order of the model
    words: &'static [&'static str],
}

impl Chapter {
    fn of<T: for<'de> Deserialize<'de>>(title: &'static str, name: &'static str) -> Self {
        Self {
            title,
            name,
            words: words::<T>(),
        }
    }
}

fn chapters() -> Vec<Chapter> {
    vec![
        Chapter::of::<model::Policy>("The file", "Policy"),
        Chapter::of::<model::Role>("`roles`", "Role"),
        Chapter::of::<model::Match>("`match`", "Match"),
        Chapter::of::<model::Allow>("`allow`", "Allow"),
        Chapter::of::<model::Limits>("`limits`", "Limits"),
        Chapter::of::<model::Functions>("`functions`", "Functions"),
        Chapter::of::<model::Table>("`tables`", "Table"),
        Chapter::of::<model::Column>("`columns`", "Column"),
        Chapter::of::<model::Store>("`store`", "Store"),
        Chapter::of::<model::Encrypt>("`encrypt`", "Encrypt"),
        Chapter::of::<model::Search>("`search` and `compare`", "Search"),
        Chapter::of::<model::Order>("`order`", "Order"),
        Chapter::of::<model::Show>("`show`", "Show"),
        Chapter::of::<model::Mask>("`mask`", "Mask"),
        Chapter::of::<model::Partial>("`partial`", "Partial"),
        Chapter::of::<model::Generalise>("`generalise`", "Generalise"),
        Chapter::of::<model::Noise>("`noise`", "Noise"),
        Chapter::of::<model::Fake>("`fake`", "Fake"),
        Chapter::of::<model::FakeKind>("`kind`", "FakeKind"),
        Chapter::of::<model::FakeLanguage>("`language`", "FakeLanguage"),
        Chapter::of::<model::Regex>("`regex`", "Regex"),
        Chapter::of::<model::Unmatched>("`unmatched`", "Unmatched"),
        Chapter::of::<model::Token>("`tokenise` and `token`", "Token"),
        Chapter::of::<model::TokenWord>("`format`", "TokenWord"),
    ]
}

fn definition<'a>(schema: &'a Schema, name: &str) -> &'a Value {
    let root = schema.as_value();
    if root.get("title").and_then(Value::as_str) == Some(name) {
        return root;
    }
    root.pointer(&format!("/$defs/{name}"))
        .unwrap_or(&Value::Null)
}

fn described(value: &Value) -> Option<String> {
    let text = value.get("description")?.as_str()?;
    let paragraphs: Vec<String> = text
        .split("\n\n")
        .map(|p| p.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    Some(paragraphs.join("\n\n"))
}

fn about_word(definition: &Value, word: &str) -> Option<String> {
    if let Some(property) = definition.pointer(&format!("/properties/{word}")) {
        return described(property);
    }
    let choices = definition.get("oneOf")?.as_array()?;
    choices
        .iter()
        .filter(|choice| {
            let is = |key: &str| choice.get(key).and_then(Value::as_str) == Some(word);
            is("const") || (word == "null" && is("type")) || has_property(choice, word)
        })
        .find_map(described)
}

fn has_property(choice: &Value, word: &str) -> bool {
    choice.pointer(&format!("/properties/{word}")).is_some()
}

fn is_required(definition: &Value, word: &str) -> bool {
    let required = definition.get("required").and_then(Value::as_array);
    let stands = |value: &Value| value.as_str() == Some(word);
    required.is_some_and(|all| all.iter().any(stands))
}

/// The keys of a struct or the words of an enum, as its `Deserialize` asks for them.
fn words<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let seen = Cell::new(&[][..]);
    // It always fails: a probe has nothing to give.
    let _ = T::deserialize(Probe(&seen));
    seen.get()
}

struct Probe<'a>(&'a Cell<&'static [&'static str]>);

type Nothing = de::value::Error;

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Nothing;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Nothing> {
        Err(de::Error::custom("a probe"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Nothing> {
        self.0.set(fields);
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Nothing> {
        self.0.set(variants);
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn is_fresh(file: &str, expected: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, expected).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == expected,
            "{file} is stale: UPDATE_DOCS=1 refreshes it"
        );
    }

    #[test]
    fn the_reference_is_fresh() {
        is_fresh("policies/REFERENCE.md", &reference());
    }

    #[test]
    fn the_schema_is_fresh() {
        is_fresh("policies/policy.schema.json", &schema());
    }

    #[test]
    fn every_word_is_described() {
        let schema = schema_for!(model::Policy);
        for Chapter { title, name, words } in chapters() {
            let definition = definition(&schema, name);
            assert!(!words.is_empty(), "{title}");
            for word in words {
                let about = about_word(definition, word).unwrap_or_default();
                assert!(about.len() > 10, "{title} {word}: {about}");
            }
        }
    }

    #[test]
    fn every_word_said_to_wait_is_refused() {
        let refused = include_str!("../../tests/policies/not_enforced.yaml");
        let schema = schema_for!(model::Policy);
        for Chapter { title, name, words } in chapters() {
            // What is under a word that waits waits with it.
            if matches!(name, "Limits" | "Order") {
                continue;
            }
            for word in words {
                let about = about_word(definition(&schema, name), word).unwrap_or_default();
                let waits = about.contains(model::NOT_ENFORCED);
                let told =
                    refused.contains(&format!("`{word}` is not enforced by this version yet"));
                assert!(!waits || told, "{title} {word}");
            }
        }
    }

    #[test]
    fn the_reference_s_example_is_a_policy() {
        let example = reference();
        let example = example.split("```yaml\n").nth(2).unwrap();
        let example = example.split("```").next().unwrap();
        let loaded = crate::policy::load("REFERENCE.md", example).unwrap();
        assert!(loaded.warnings.is_empty());
        assert_eq!(loaded.policy.rules().len(), 4);
    }
}
