//! `check`: a policy against the live catalog, and, where asked, every stored value against its key.
//!
//! Changes nothing. It reads stored values and opens them to see that they open; it keeps only counts.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::{Client, Transaction};

use super::apply::ApplyFault;
use super::convert::Converter;
use super::hindrance::{self, Hindrance};
use super::plan;
use super::rows::{Raw, Walk};
use super::settings;
use crate::catalog::{Attribute, RelationKind, Snapshot, Stored};
use crate::document::Fault;
use crate::ident::{AttributeName, RelationName};
use crate::keyring::Keyring;
use crate::policy::bind::BindFault;
use crate::policy::decide::{Bound, Treated};
use crate::types::ServerVersion;
use crate::upstream::fault::ServerFault;

/// What `check` found in one database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// what keeps attributes from being ready, each with its place in the policy
    pub faults: Vec<Fault>,
    /// what would keep `apply` from mending it
    pub hindrances: BTreeSet<Hindrance>,
    /// what a DBA should know, and what keeps nothing
    pub notices: BTreeSet<String>,
    /// with `--data`: what the stored values are
    pub counts: Vec<DataCount>,
}

impl CheckReport {
    /// Whether everything is as the policy says.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
            && self.hindrances.is_empty()
            && self.counts.iter().all(|count| count.wrong.is_empty())
    }
}

/// The stored values of one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataCount {
    /// which
    pub attribute: AttributeName,
    /// its values, NULLs left out
    pub values: u64,
    /// how many are not as they should be, by reason
    pub wrong: BTreeMap<String, u64>,
}

/// Holds what binding a policy to `snapshot` gave against the database.
///
/// # Errors
/// [`ApplyFault::Server`] when the server does not answer.
pub async fn check(
    client: &mut Client,
    snapshot: &Snapshot,
    policy: (&Bound, &[BindFault]),
    keyring: &Keyring,
) -> Result<CheckReport, ApplyFault> {
    let (bound, faults) = policy;
    let work = plan::work(snapshot, bound, faults, |domain| {
        keyring.domain(domain).map(|keys| keys.id())
    });
    let mut report = CheckReport {
        faults: faults.iter().map(|fault| fault.fault.clone()).collect(),
        notices: snapshot.notices.iter().cloned().collect(),
        ..CheckReport::default()
    };
    let transaction = settings::read_only(client).await?;
    for table in &work.tables {
        let found = hindrance::find(&transaction, table).await?;
        report.hindrances.extend(found.hindrances);
        report.notices.extend(found.warnings);
    }
    settings::end(transaction).await?;
    Ok(report)
}

/// Reads every stored value of the attributes that the policy seals or tokenises.
///
/// # Errors
/// [`ApplyFault`] when the server does not answer, or a key is missing for what is recorded as stored.
pub async fn data(
    client: &mut Client,
    snapshot: &Snapshot,
    bound: &Bound,
    keyring: &Keyring,
) -> Result<Vec<DataCount>, ApplyFault> {
    let server = settings::server_version(client).await?;
    let mut tables: BTreeMap<&RelationName, Vec<Column<'_>>> = BTreeMap::new();
    for treated in bound.treated() {
        let Some(relation) = snapshot.relation_by_oid(treated.relation_oid) else {
            continue;
        };
        let attribute = relation
            .attributes
            .iter()
            .find(|attribute| attribute.attnum == treated.attnum);
        if let (Some(attribute), RelationKind::Table) = (attribute, relation.kind)
            && treated.store.recorded().is_some()
        {
            let column = Column::new(treated, attribute, keyring, server)?;
            tables.entry(&relation.name).or_default().push(column);
        }
    }
    let mut counts = Vec::new();
    let transaction = settings::read_only(client).await?;
    for (table, mut columns) in tables {
        count(&transaction, table, &mut columns)
            .await
            .map_err(|error| ServerFault::new(format!("reading {table}"), &error))?;
        counts.extend(columns.into_iter().map(|column| column.count));
    }
    settings::end(transaction).await?;
    counts.sort_by(|a, b| a.attribute.cmp(&b.attribute));
    Ok(counts)
}

/// One attribute whose values are read.
struct Column<'a> {
    treated: &'a Treated,
    /// None where the database holds the values plain
    converter: Option<Converter>,
    count: DataCount,
}

impl<'a> Column<'a> {
    fn new(
        treated: &'a Treated,
        attribute: &Attribute,
        keyring: &Keyring,
        server: ServerVersion,
    ) -> Result<Self, ApplyFault> {
        let converter = match attribute.stored {
            Stored::Plain | Stored::OnRecord { .. } => None,
            Stored::Sealed { .. } | Stored::Tokenised { .. } | Stored::Altered { .. } => {
                Converter::new(treated, keyring, server)?
            }
        };
        Ok(Self {
            treated,
            converter,
            count: DataCount {
                attribute: treated.name.clone(),
                values: 0,
                wrong: BTreeMap::new(),
            },
        })
    }

    fn take(&mut self, stored: &[u8]) {
        self.count.values += 1;
        let why = match &self.converter {
            None => Some("the value lies plain".to_owned()),
            Some(converter) => converter.read(stored).err().map(|fault| fault.to_string()),
        };
        if let Some(why) = why {
            *self.count.wrong.entry(why).or_default() += 1;
        }
    }
}

async fn count(
    transaction: &Transaction<'_>,
    table: &RelationName,
    columns: &mut [Column<'_>],
) -> Result<(), tokio_postgres::Error> {
    let names: Vec<&str> = columns
        .iter()
        .map(|column| column.treated.name.attribute.as_str())
        .collect();
    let mut walk = Walk::start(transaction, table, &names).await?;
    loop {
        let batch = walk.next().await?;
        if batch.is_empty() {
            break;
        }
        for row in &batch {
            for (number, column) in columns.iter_mut().enumerate() {
                let value: Option<Raw<'_>> = row.try_get(number + 1)?;
                if let Some(value) = value {
                    column.take(value.0);
                }
            }
        }
    }
    walk.finish().await
}
