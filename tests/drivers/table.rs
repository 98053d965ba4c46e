//! The table the drivers are tried on, made from `attributes.txt`: its SQL and its policy.
//!
//! Through pgveil `every_type` is sealed, tokenised and masked. `twin` has its shape and is plain; `shown` holds what
//! the masked role must see of `every_type`; `untreated` is plain on both sides.

use std::fmt::Write as _;

/// The data file, as the drivers' programs read it too.
pub const ATTRIBUTES: &str = include_str!("attributes.txt");

/// One line of the data file; each value is SQL.
#[derive(Debug)]
pub struct Attribute {
    /// its name
    pub name: &'static str,
    /// its type in SQL
    pub ty: &'static str,
    store: &'static str,
    /// ordinary, lowest, highest, beyond
    pub values: [&'static str; 4],
    mask: &'static str,
    /// what the mask makes of ordinary, lowest, highest
    masked: [&'static str; 3],
}

impl Attribute {
    /// Whether the policy lets it be compared.
    pub fn is_compared(&self) -> bool {
        !self.store.contains("search: []")
    }
}

/// The attributes of the data file.
pub fn attributes() -> Vec<Attribute> {
    let lines = ATTRIBUTES.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let cells: Vec<_> = line.split(" | ").map(str::trim).collect();
            let [name, ty, store, v1, v2, v3, v4, _invalid, mask, m1, m2, m3] = cells[..] else {
                panic!("twelve cells: {line}");
            };
            Attribute {
                name,
                ty,
                store,
                values: [v1, v2, v3, v4],
                mask,
                masked: [m1, m2, m3],
            }
        })
        .collect()
}

/// `id` and the names of the attributes, as a select list.
pub fn select_list() -> String {
    let names = attributes().iter().map(|a| a.name).collect::<Vec<_>>();
    format!("id, {}", names.join(", "))
}

/// The tables, and in `shown` what the masked role must see of the rows 1 (ordinary), 2 (lowest), 3 (highest) and 4
/// (NULL).
pub fn schema() -> String {
    let attributes = attributes();
    let mut sql = String::from("CREATE TABLE every_type (id int PRIMARY KEY");
    for Attribute { name, ty, .. } in &attributes {
        write!(sql, ", {name} {ty}").expect("into a String");
    }
    sql.push_str(", counter int NOT NULL DEFAULT 7);\n");
    for copy in ["twin", "shown", "untreated"] {
        writeln!(sql, "CREATE TABLE {copy} (LIKE every_type INCLUDING ALL);")
            .expect("into a String");
    }
    for row in 0..3 {
        let values: Vec<_> = attributes.iter().map(|a| a.masked[row]).collect();
        let (list, values) = (select_list(), values.join(", "));
        writeln!(
            sql,
            "INSERT INTO shown ({list}) VALUES ({}, {values});",
            row + 1
        )
        .expect("into a String");
    }
    sql.push_str("INSERT INTO shown (id) VALUES (4);\n");
    sql
}

/// The policy: the role `driver` sees everything, the role `masked` what the masks leave.
pub fn policy() -> String {
    let mut yaml = String::from(
        "version: 1\n\
         roles:\n\
         \x20 - name: driver\n    match: { user: \"driver*\" }\n\
         \x20 - name: masked\n    match: { user: \"masked*\" }\n\
         tables:\n  public.every_type:\n    columns:\n",
    );
    for Attribute {
        name, store, mask, ..
    } in attributes()
    {
        let mask = if mask == "null" {
            mask.to_owned()
        } else {
            format!("{{ mask: {mask} }}")
        };
        let show = format!("{{ driver: plain, masked: {mask} }}");
        writeln!(yaml, "      {name}: {{ store: {store}, show: {show} }}").expect("into a String");
    }
    yaml
}
