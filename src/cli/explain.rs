//! `pgveil explain`: what becomes of a statement for a role, and what it leaks. Sends the statement nowhere.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use miette::miette;
use serde_json::json;

use super::site::{LoginAs, OpenDatabase, Site};
use super::{ConfigArgument, Exit, block_on};
use crate::ident::RoleName;
use crate::policy::decide::{Show, Store, Treated};
use crate::seal::Comparison;
use crate::statement::plan::{ColumnPlan, Outcome, Piece, Plan, Refusal, Shape};
use crate::statement::{ClientEncoding, Context, Reach, analyse};

/// `pgveil explain`
#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    config: ConfigArgument,
    /// The policy's role
    #[arg(long)]
    role: String,
    /// The database; the first with a policy when left out
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// text: for a person; json: for a machine; case: as it stands in `tests/cases`
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The statement, or several with `;` between them
    sql: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Case,
}

impl Explain {
    /// Prints the answer; a refusal is one.
    ///
    /// # Errors
    /// What kept it from an answer: the files, the server, or that there is no such role.
    pub fn run(self) -> miette::Result<Exit> {
        let (open, role) = block_on(self.open())?;
        let context = Context {
            snapshot: &open.snapshot,
            bound: &open.bound,
            reach: &Reach::new(&open.snapshot, &open.bound, &role),
            role: &role,
            standard_conforming_strings: true,
            client_encoding: ClientEncoding::Utf8,
            cache: None,
        };
        let outcome = analyse(&self.sql, &context);
        let answer = Answer::new(&outcome);
        match self.format {
            Format::Text => print!("{}", answer.text()),
            Format::Json => println!("{:#}", answer.json()),
            Format::Case => print!("{}", case(&self.role, &self.sql, &outcome)),
        }
        Ok(Exit::Done)
    }

    async fn open(&self) -> miette::Result<(OpenDatabase, RoleName)> {
        let site = Site::read(&self.config)?;
        let keyring = site.keyring()?;
        let databases = site.databases(self.database.as_deref())?;
        let (name, policy) = databases
            .first()
            .ok_or_else(|| miette!("no database has a policy"))?;
        let role = RoleName::new(&self.role);
        if policy.role(&role).is_none() {
            let roles: Vec<&str> = policy.roles().iter().map(|r| r.name().as_str()).collect();
            return Err(miette!(
                "{} has no role {role}; it has {}",
                policy.file(),
                roles.join(", ")
            ));
        }
        let open = site
            .open(LoginAs::Control, (name, policy), &keyring)
            .await?;
        Ok((open, role))
    }
}

/// The answer in its parts.
#[derive(Debug, Default)]
struct Answer {
    decision: String,
    sql: Option<String>,
    slots: Vec<String>,
    columns: Vec<String>,
    leaks: BTreeSet<String>,
    hint: Option<String>,
}

impl Answer {
    fn new(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Untouched => Self {
                decision: "untouched".to_owned(),
                ..Self::default()
            },
            Outcome::Refused(refusal) => Self::refused(refusal),
            Outcome::Plan(plan) => Self::rewritten(plan),
        }
    }

    fn refused(refusal: &Refusal) -> Self {
        let mut decision = format!("refused {}: {}", refusal.sqlstate, refusal.message);
        if let Some(position) = refusal.position {
            let _ = write!(decision, " (at byte {position})");
        }
        Self {
            decision,
            hint: (!refusal.hint.is_empty()).then(|| refusal.hint.clone()),
            ..Self::default()
        }
    }

    fn rewritten(plan: &Plan) -> Self {
        let mut answer = Self {
            decision: "rewritten".to_owned(),
            ..Self::default()
        };
        let mut sql = String::new();
        for piece in plan.pieces() {
            match piece {
                Piece::Text(text) => sql.push_str(text),
                Piece::Slot(slot) => {
                    let number = answer.slots.len() + 1;
                    let _ = write!(sql, "⟨{number}⟩");
                    let what = verb(&slot.attribute, slot.shape, slot.assigned);
                    answer.slots.push(format!("⟨{number}⟩ a literal, {what}"));
                    answer.stored(&slot.attribute);
                }
            }
        }
        for parameter in plan.parameters() {
            let what = verb(&parameter.attribute, parameter.shape, parameter.assigned);
            answer.slots.push(format!("${}, {what}", parameter.number));
            answer.stored(&parameter.attribute);
        }
        for columns in plan.statements().iter().filter_map(|s| s.columns.as_ref()) {
            for column in columns {
                let number = answer.columns.len() + 1;
                let line = match column {
                    ColumnPlan::Pass => format!("{number} as the server sends it"),
                    ColumnPlan::Open { attribute, show } => {
                        answer.stored(attribute);
                        format!("{number} {}: {}", attribute.name, shown(show))
                    }
                };
                answer.columns.push(line);
            }
        }
        answer.sql = Some(sql);
        answer
    }

    /// What the database's side learns of an attribute that is stored as the policy says.
    fn stored(&mut self, attribute: &Treated) {
        let leak = match &attribute.store {
            Store::Plain => "the database's side sees its values",
            Store::Encrypt { .. } => match attribute.comparison() {
                Comparison::Never => "the database's side sees lengths",
                Comparison::Bytes => {
                    "the database's side sees lengths, and which values of its domain are equal"
                }
                Comparison::Heads => {
                    "the database's side sees lengths, and which values of its domain PostgreSQL calls equal"
                }
            },
            Store::Tokenise(_) => {
                "the database's side sees shape and kept characters, and which values of its domain are equal"
            }
        };
        self.leaks.insert(format!("{}: {leak}", attribute.name));
    }

    fn text(&self) -> String {
        let mut text = format!("decision: {}\n", self.decision);
        if let Some(sql) = &self.sql {
            let _ = writeln!(text, "sql: {sql}");
        }
        for (head, lines) in [("slots", &self.slots), ("columns", &self.columns)] {
            if !lines.is_empty() {
                let _ = writeln!(text, "{head}:\n  {}", lines.join("\n  "));
            }
        }
        if !self.leaks.is_empty() {
            let leaks: Vec<&str> = self.leaks.iter().map(String::as_str).collect();
            let _ = writeln!(text, "leaks:\n  {}", leaks.join("\n  "));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "hint: {hint}");
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "decision": self.decision,
            "sql": self.sql,
            "slots": self.slots,
            "columns": self.columns,
            "leaks": self.leaks,
            "hint": self.hint,
        })
    }
}

fn verb(attribute: &Treated, shape: Shape, assigned: bool) -> String {
    let verb = match &attribute.store {
        Store::Plain => "as it is",
        Store::Encrypt { .. } => "sealed",
        Store::Tokenise(_) => "tokenised",
    };
    let shape = match shape {
        Shape::Value => "",
        Shape::Array => ", each element",
    };
    let used = if assigned {
        "assigned to"
    } else {
        "compared with"
    };
    format!("{verb}{shape}, {used} {}", attribute.name)
}

fn shown(show: &Show) -> &'static str {
    match show {
        Show::Plain => "opened",
        Show::Mask(_) => "masked",
        Show::Token(_) => "a token of it",
        Show::Null => "NULL",
        Show::Stored => "as it is stored",
        Show::Refuse => "nothing",
    }
}

/// The answer as a case of `tests/cases`.
fn case(role: &str, sql: &str, outcome: &Outcome) -> String {
    let mut text = format!("--- a title\nrole: {role}\n{}\n=> ", sql.trim());
    match outcome {
        Outcome::Untouched => text.push_str("untouched\n"),
        Outcome::Refused(refusal) => {
            let (state, reason) = (refusal.sqlstate, refusal.reason);
            let _ = writeln!(text, "refused {state} {reason}: {}", refusal.message);
        }
        Outcome::Plan(plan) => case_of_plan(&mut text, plan),
    }
    text
}

fn case_of_plan(text: &mut String, plan: &Plan) {
    text.push_str("rewritten\n");
    for piece in plan.pieces() {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Slot(slot) => {
                let (name, shape) = (&slot.attribute.name.attribute, slot.shape);
                let assigned = if slot.assigned { " assigned" } else { "" };
                let _ = write!(text, "⟨{name} {shape:?}{assigned}⟩");
            }
        }
    }
    for columns in plan.statements().iter().filter_map(|s| s.columns.as_ref()) {
        let columns: Vec<String> = columns
            .iter()
            .map(|column| match column {
                ColumnPlan::Pass => "pass".to_owned(),
                ColumnPlan::Open { attribute, show } => {
                    format!("{} {show:?}", attribute.name.attribute)
                }
            })
            .collect();
        let _ = write!(text, "\ncolumns: {}", columns.join(", "));
    }
    for parameter in plan.parameters() {
        let (number, name) = (parameter.number, &parameter.attribute.name.attribute);
        let _ = write!(text, "\nparameter ${number}: {name} {:?}", parameter.shape);
    }
    text.push('\n');
}
