//! `pgveil audit verify|search`, and the record that subcommands make of what they do.
//!
//! Subcommands write beside the serving instance's directory, in `<directory>.commands`: two writers never share
//! one. Verifying and searching look at both.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use miette::{IntoDiagnostic, miette};

use super::site::Site;
use super::{ConfigArgument, Exit};
use crate::audit::files::list;
use crate::audit::record::{Kind, Outcome, Record, Who};
use crate::audit::search::{Filter, search};
use crate::audit::verify::{Verdict, verify};
use crate::audit::{Recorder, Settings};
use crate::config::Config;
use crate::ident::{DatabaseName, UserName};
use crate::keyring::Keyring;

/// `pgveil audit`
#[derive(Debug, Args)]
pub struct Audit {
    #[command(subcommand)]
    asked: Asked,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one a process")]
enum Asked {
    /// Finds any record that was changed, moved or cut
    Verify(Verify),
    /// Prints the records that fit, one JSON object a line
    Search(Search),
}

#[derive(Debug, Args)]
struct Verify {
    #[command(flatten)]
    config: ConfigArgument,
    /// The oldest files were moved away on purpose
    #[arg(long)]
    archived: bool,
}

#[derive(Debug, Args)]
struct Search {
    #[command(flatten)]
    config: ConfigArgument,
    /// The login
    #[arg(long)]
    user: Option<String>,
    /// The policy's role
    #[arg(long)]
    role: Option<String>,
    /// The database
    #[arg(long)]
    database: Option<String>,
    /// The session's number
    #[arg(long)]
    session: Option<u64>,
    /// A relation, `schema.name` or a bare name
    #[arg(long)]
    relation: Option<String>,
    /// Not before this time, for example 2025-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<jiff::Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    until: Option<jiff::Timestamp>,
    /// The kind: select, login, apply, …
    #[arg(long)]
    kind: Option<String>,
    /// How it ended: begun, done, failed, refused, cancelled, lost
    #[arg(long)]
    outcome: Option<String>,
    /// The statement's shape, as the `fingerprint` of another record has it
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
    /// A part of the statement's text
    #[arg(long)]
    text: Option<String>,
}

impl Audit {
    /// Does what was asked.
    ///
    /// # Errors
    /// That records are not as they were written, or what kept it from looking.
    pub fn run(self) -> miette::Result<Exit> {
        match self.asked {
            Asked::Verify(verify) => verify.run(),
            Asked::Search(search) => search.run(),
        }
    }
}

impl Verify {
    fn run(self) -> miette::Result<Exit> {
        let site = Site::read(&self.config)?;
        let keyring = site.keyring()?;
        let mut intact = true;
        for directory in directories(&site.config) {
            if !directory.exists() {
                continue;
            }
            let verdict = verify(&Settings::new(&directory), &keyring).into_diagnostic()?;
            println!("{}: {}", directory.display(), sentence(&verdict));
            intact &= verdict.is_intact(self.archived);
        }
        if intact {
            Ok(Exit::Done)
        } else {
            Err(miette!("the audit is not as it was written"))
        }
    }
}

fn sentence(verdict: &Verdict) -> String {
    let mut text = format!("{} files, {} records hold", verdict.files, verdict.records);
    if let Some(bad) = &verdict.bad {
        let (file, line) = (bad.file.display(), bad.line);
        text.push_str(&format!("; {file} line {line} {}", bad.defect.as_str()));
    }
    if let Some(seq) = verdict.missing_tail {
        text.push_str(&format!(
            "; records up to seq {seq} were written and are gone"
        ));
    }
    if let Some(seq) = verdict.missing_head {
        text.push_str(&format!("; records before the first are not there ({seq})"));
    }
    if verdict.foreign_anchors > 0 {
        let count = verdict.foreign_anchors;
        text.push_str(&format!(
            "; {count} anchors were not signed by this keyring"
        ));
    }
    for torn in &verdict.torn {
        let (file, bytes) = (torn.file.display(), torn.bytes);
        text.push_str(&format!(
            "; {file} ends in half a record ({bytes} bytes): a crash"
        ));
    }
    text
}

impl Search {
    fn run(self) -> miette::Result<Exit> {
        let site = Site::read(&self.config)?;
        let filter = Filter {
            user: self.user,
            role: self.role,
            database: self.database,
            session: self.session,
            relation: self.relation,
            from: self.from,
            until: self.until,
            kind: self.kind,
            outcome: self.outcome,
            fingerprint: self.fingerprint,
            text: self.text,
        };
        let mut out = io::BufWriter::new(io::stdout().lock());
        for directory in directories(&site.config) {
            if !directory.exists() || list(&directory).into_diagnostic()?.is_empty() {
                continue;
            }
            search(&directory, &filter, |found| {
                match writeln!(out, "{}", found.record) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()), // nobody reads on
                }
            })
            .into_diagnostic()?;
        }
        // A closed standard output leaves nothing to say it on.
        let _ = out.flush();
        Ok(Exit::Done)
    }
}

/// The serving instance's directory, and the subcommands' beside it.
fn directories(config: &Config) -> [PathBuf; 2] {
    [config.audit.directory.clone(), commands_directory(config)]
}

fn commands_directory(config: &Config) -> PathBuf {
    let mut beside = config.audit.directory.clone().into_os_string();
    beside.push(".commands");
    beside.into()
}

/// Puts on record what subcommands change.
#[derive(Debug)]
pub struct Commands(Recorder);

/// What was begun, until its end is on record.
#[derive(Debug)]
pub struct Begun {
    seq: u64,
    kind: Kind,
    who: Arc<Who>,
}

impl Commands {
    /// Opens the subcommands' audit.
    ///
    /// # Errors
    /// That it cannot be written; nothing may be changed then.
    pub fn open(config: &Config, keyring: &Keyring) -> miette::Result<Self> {
        let settings = Settings::new(commands_directory(config));
        Recorder::start(settings, keyring, None)
            .map(Self)
            .into_diagnostic()
    }

    /// Puts on record that something begins; only then may it be done.
    ///
    /// # Errors
    /// That it cannot be written.
    pub async fn begin(
        &self,
        kind: Kind,
        place: Option<(&UserName, &DatabaseName)>,
    ) -> miette::Result<Begun> {
        let mut who = Who::clone(&Who::instance());
        who.user = place.map(|(user, _)| user.clone());
        who.database = place.map(|(_, database)| database.clone());
        let who = Arc::new(who);
        let record = Record::new(Arc::clone(&who), kind, Outcome::Begun);
        let seq = self.0.begin(record).await.into_diagnostic()?;
        Ok(Begun { seq, kind, who })
    }

    /// Puts on record how it ended.
    ///
    /// # Errors
    /// That it cannot be written.
    pub async fn end(&self, begun: Begun, done: bool) -> miette::Result<()> {
        let outcome = if done { Outcome::Done } else { Outcome::Failed };
        let record = Record::new(begun.who, begun.kind, outcome);
        self.0.end(begun.seq, record).await.into_diagnostic()
    }

    /// Writes everything out.
    ///
    /// # Errors
    /// That something could not be written.
    pub async fn close(&self) -> miette::Result<()> {
        self.0.close().await.into_diagnostic()
    }
}
