//! A CRM's tables and what it asks of them: point look-ups, pages, a search, a join, writes, an aggregate.

use super::client::Statement;

/// The tables, filled with `{rows}` contacts.
pub const SCHEMA: &str = include_str!("schema.sql");

/// The policy of the database whose values are sealed.
pub const SEALED: &str = include_str!("sealed.yaml");

/// The policy of the database that has nothing to protect.
pub const UNTOUCHED: &str = include_str!("untouched.yaml");

/// How many contacts there are.
pub const CONTACTS: u64 = 50_000;

/// First names that are new, in several scripts.
const NEW: &[&str] = &["Anna", "Zoë", "王芳", "李伟", "Мария", "O'Neill"];

fn any(n: u64) -> u64 {
    n % CONTACTS + 1
}

fn email(i: u64) -> String {
    format!("user{i}@example{}.com", i % 97)
}

fn phone(i: u64) -> String {
    format!("+7900{:07}", i * 37 % 10_000_000)
}

/// The look-up of a contact by its e-mail: the plainest thing that a CRM does all day.
pub const LOOKUP: &[Statement] = &[Statement {
    weight: 1,
    text: "SELECT id, first_name, last_name, phone FROM contacts WHERE email = $1",
    values: |n| vec![email(any(n))],
}];

/// What a CRM asks, by weight. Names and pages go by columns that are not sealed.
pub const MIX: &[Statement] = &[
    Statement {
        weight: 30,
        text: "SELECT * FROM contacts WHERE id = $1",
        values: |n| vec![any(n).to_string()],
    },
    Statement {
        weight: 20,
        text: "SELECT id, first_name, last_name, phone FROM contacts WHERE email = $1",
        values: |n| vec![email(any(n))],
    },
    Statement {
        weight: 15,
        text: "SELECT id, first_name, last_name, email FROM contacts WHERE phone = $1",
        values: |n| vec![phone(any(n))],
    },
    Statement {
        weight: 8,
        text: "SELECT id, first_name, last_name, email, phone FROM contacts ORDER BY last_name, id LIMIT 50 OFFSET $1",
        values: |n| vec![(n % 500).to_string()],
    },
    Statement {
        weight: 6,
        text: "SELECT id, first_name, last_name, email, phone FROM contacts WHERE last_name ILIKE $1 LIMIT 20",
        values: |n| vec![format!("%{:04x}%", n % 65_536)],
    },
    Statement {
        weight: 8,
        text: "SELECT c.id, c.first_name, c.email, c.phone, a.name FROM contacts c JOIN accounts a ON a.id = c.account_id WHERE a.id = $1",
        values: |n| vec![(n % (CONTACTS / 10) + 1).to_string()],
    },
    Statement {
        weight: 5,
        text: "INSERT INTO contacts (account_id, first_name, last_name, email, phone) VALUES ($1, $2, 'Person', $3, $4) RETURNING id",
        values: |n| {
            let name = NEW[usize::try_from(n % 6).unwrap_or(0)];
            vec![
                (n % (CONTACTS / 10) + 1).to_string(),
                name.to_owned(),
                format!("new{n}@x.example"),
                phone(any(n)),
            ]
        },
    },
    Statement {
        weight: 7,
        text: "UPDATE contacts SET phone = $1 WHERE id = $2",
        values: |n| vec![phone(any(n)), any(n).to_string()],
    },
    Statement {
        weight: 1,
        text: "SELECT stage, count(*), sum(amount) FROM leads GROUP BY stage",
        values: |_| Vec::new(),
    },
];
