//! From a plain CRM to a sealed one: `setup`, `keys init` and `apply`, by the same functions as the subcommands.

use std::sync::atomic::{AtomicU64, Ordering};

use miette::{IntoDiagnostic, miette};

use super::cluster::Cluster;
use super::crm::{DATABASE, POLICY, TREATED_ROWS};
use super::progress::Step;
use super::state::{CONTROL, State};
use crate::config::Config;
use crate::document::Fault;
use crate::ident::{DatabaseName, UserName};
use crate::keyring::{self, Keyring, Passphrase};
use crate::lifecycle::apply::{ApplyFault, Progress, apply};
use crate::lifecycle::setup::{SetupLogins, setup_sql};
use crate::policy;
use crate::policy::bind::bind;
use crate::secret::Secret;
use crate::upstream::catalog;
use crate::upstream::connect::Target;
use crate::upstream::control::ControlLogin;

/// Sets the database up, makes the keyring, and brings the CRM to its policy.
///
/// # Errors
/// What any of the steps says.
pub async fn prepare(cluster: &Cluster, state: &State) -> miette::Result<Config> {
    let config = Config::open(&state.config_file(), []).map_err(faults)?;
    set_up(cluster, state).await?;
    let mut keyring = make_keyring(&config)?;
    let step = Step::of("sealing the CRM", TREATED_ROWS);
    bring_to_policy(&config, &mut keyring, &step).await?;
    step.done();
    Ok(config)
}

async fn set_up(cluster: &Cluster, state: &State) -> miette::Result<()> {
    let superuser = super::connect(&cluster.superuser_url(DATABASE)).await?;
    let logins = SetupLogins::control_only(UserName::new(CONTROL));
    let password = Secret::new(state.control_password().to_owned());
    let sql = setup_sql(&logins, Some(&password));
    superuser.batch_execute(&sql).await.into_diagnostic()
}

fn make_keyring(config: &Config) -> miette::Result<Keyring> {
    let keys = config.keyring.as_ref();
    let keys = keys.ok_or_else(|| miette!("the demo's configuration names a keyring"))?;
    let passphrase = keys
        .unlock
        .passphrase()
        .map_err(|fault| faults(vec![fault]))?;
    let passphrase = Passphrase::new(passphrase.expose().as_bytes()).into_diagnostic()?;
    keyring::create(&keys.file, &passphrase).into_diagnostic()
}

async fn bring_to_policy(
    config: &Config,
    keyring: &mut Keyring,
    step: &Step,
) -> miette::Result<()> {
    let loaded = policy::load::load("crm.yaml", POLICY).map_err(faults)?;
    let database = DatabaseName::new(DATABASE);
    let fault = |fault| faults(vec![fault]);
    let target = Target::configured(&config.upstream).map_err(fault)?;
    let owner =
        ControlLogin::configured(&target, &config.upstream.owner, database).map_err(fault)?;
    let mut client = owner.open().await.into_diagnostic()?;
    let snapshot = catalog::load(&mut client, None).await.into_diagnostic()?;
    let (bound, unbound) = bind(&loaded.policy, &snapshot, 1, |domain| {
        keyring.domain(domain).map(keyring::DomainKeys::id)
    });
    let (earlier, current) = (AtomicU64::new(0), AtomicU64::new(0));
    let progress = |progress: Progress<'_>| match progress {
        Progress::Seal { rows, .. } => {
            current.store(rows, Ordering::Relaxed);
            step.at(earlier.load(Ordering::Relaxed) + rows);
        }
        Progress::Done(_) => {
            earlier.fetch_add(current.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
        Progress::Try { .. } | Progress::Rewrite(_) => {}
    };
    match apply(
        &mut client,
        &snapshot,
        (&bound, &unbound),
        keyring,
        &progress,
    )
    .await
    {
        Ok(_) => Ok(()),
        Err(ApplyFault::Hindered(hindrances)) => Err(miette!("{hindrances:#?}")),
        Err(fault) => Err(fault).into_diagnostic(),
    }
}

/// Faults of a file, one a line.
fn faults(faults: Vec<Fault>) -> miette::Report {
    let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
    miette!("{}", lines.join("\n"))
}
