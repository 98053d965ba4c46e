//! Reads policies, keyring, certificates and the auth_file again when they change on disk or SIGHUP asks: whole or not at all.
//!
//! What was in force stays in force when anything is at fault; that is an alarm, a line in the log and a record.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::accept::Service;
use super::admission::LoginFiles;
use super::materials::Materials;
use crate::audit::{Kind, Outcome, Record, Who};
use crate::config::Config;
use crate::document::Fault;
use crate::limits::RELOAD_SETTLE_MS;
use crate::metrics::Alarm;
use crate::secret::Secret;

/// Reads everything again and puts it in force.
///
/// # Errors
/// Every fault; nothing has changed then.
pub async fn reload(config: &Arc<Config>, service: &Arc<Service>) -> Result<(), Vec<Fault>> {
    let result = try_reload(config, service).await;
    let outcome = match &result {
        Ok(()) => {
            tracing::info!("policies, keyring, certificates and logins were read again");
            Outcome::Done
        }
        Err(faults) => {
            service.metrics.alarm(Alarm::ReloadRefused);
            for fault in faults {
                tracing::error!(%fault, "the reload is refused; what was in force stays");
            }
            Outcome::Refused
        }
    };
    if let Some(recorder) = &service.recorder {
        let record = Record::new(Who::instance(), Kind::Reload, outcome);
        if recorder.record(record).await.is_err() {
            tracing::error!("a reload could not be recorded");
        }
    }
    result
}

async fn try_reload(config: &Arc<Config>, service: &Arc<Service>) -> Result<(), Vec<Fault>> {
    let read = {
        let (config, service) = (Arc::clone(config), Arc::clone(service));
        tokio::task::spawn_blocking(move || read_all(&config, &service.context.decoy_key)).await
    };
    let (materials, login_files) = read.map_err(|_| {
        let file = config.file.display().to_string();
        vec![Fault::of_file(&file, "reading it again ended early")]
    })??;
    same_keyring(config, service, &materials).map_err(|fault| vec![fault])?;
    for warning in &materials.warnings {
        tracing::warn!(%warning, "allowed, and probably not meant");
    }
    service.context.files.store(Arc::new(login_files));
    service.databases.replace(materials);
    Ok(())
}

/// Everything, or every fault of all of it.
fn read_all(
    config: &Config,
    decoy_key: &Secret<[u8; 32]>,
) -> Result<(Materials, LoginFiles), Vec<Fault>> {
    match (Materials::read(config), LoginFiles::read(config, decoy_key)) {
        (Ok(materials), Ok(login_files)) => Ok((materials, login_files)),
        (materials, login_files) => {
            let mut faults = materials.err().unwrap_or_default();
            faults.extend(login_files.err().unwrap_or_default());
            Err(faults)
        }
    }
}

/// Another keyring in the same place is no reload: under its keys nothing stored opens, and what would be
/// written would not open later.
fn same_keyring(config: &Config, service: &Service, new: &Materials) -> Result<(), Fault> {
    let now = service.databases.materials();
    let ids = (
        now.keyring.as_ref().map(crate::keyring::Keyring::id),
        new.keyring.as_ref().map(crate::keyring::Keyring::id),
    );
    if ids.0 == ids.1 {
        return Ok(());
    }
    let place = config.keyring.as_ref().map_or(&config.file, |k| &k.file);
    Err(Fault::of_file(
        &place.display().to_string(),
        "this is another keyring than the one in use",
    )
    .with_help("restart pgveil if it is meant"))
}

/// Watches the files of a configuration. What is returned must live as long as the watch; `changed` is told.
///
/// # Errors
/// The file system's.
pub fn watch(config: &Config, changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let files = files(config);
    let names = files.clone();
    let mut watcher =
        notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
            // Reading a file is an event too: our own must not wake us again.
            Ok(event)
                if matters(&event.kind) && event.paths.iter().any(|p| concerns(p, &names)) =>
            {
                changed.notify_one();
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(kind = ?error.kind, "files are no longer watched; use SIGHUP")
            }
        })?;
    // A file that is replaced is another file: its directory is what stays.
    let mut folders: Vec<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    folders.sort();
    folders.dedup();
    for folder in folders {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Waits until the files have changed and have been left alone for a moment.
pub async fn settled(changed: &Notify) {
    changed.notified().await;
    let quiet = Duration::from_millis(RELOAD_SETTLE_MS);
    while tokio::time::timeout(quiet, changed.notified())
        .await
        .is_ok()
    {}
}

fn matters(kind: &EventKind) -> bool {
    match kind {
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) => true,
        EventKind::Any | EventKind::Access(_) | EventKind::Other => false,
    }
}

/// Whether the event is one of our files, or the link by which Kubernetes swaps a mounted volume.
fn concerns(path: &Path, files: &[PathBuf]) -> bool {
    path.file_name() == Some(OsStr::new("..data"))
        || files
            .iter()
            .any(|file| file.file_name() == path.file_name())
}

/// Every file that a reload reads.
fn files(config: &Config) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = config
        .databases
        .iter()
        .filter_map(|database| database.policy.clone())
        .collect();
    files.extend(config.keyring.iter().map(|keyring| keyring.file.clone()));
    files.extend(config.upstream.auth_file.clone());
    if let Some(tls) = &config.listen.tls {
        files.extend([tls.certificate.clone(), tls.key.clone()]);
        files.extend(tls.client_ca.clone());
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_replaced_file_is_noticed_and_a_read_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("crm.yaml");
        std::fs::write(&policy, "a").unwrap();
        let text = format!(
            "[listen]\naddress = \"127.0.0.1:0\"\n[upstream]\naddress = \"127.0.0.1:1\"\ncontrol = {{ user = \"c\" }}\n\
             [[database]]\nname = \"crm\"\npolicy = \"{}\"\n[keyring]\nfile = \"k\"\nunlock = {{ passphrase_env = \"P\" }}\n",
            policy.display()
        );
        let config = Config::parse(&folder.path().join("pgveil.toml"), &text, []).unwrap();
        let changed = Arc::new(Notify::new());
        let _watcher = watch(&config, Arc::clone(&changed)).unwrap();
        let soon = Duration::from_millis(300);
        std::fs::read(&policy).unwrap();
        std::fs::write(folder.path().join("other.yaml"), "x").unwrap();
        assert!(
            tokio::time::timeout(soon, changed.notified())
                .await
                .is_err()
        );
        std::fs::write(folder.path().join("new"), "b").unwrap();
        std::fs::rename(folder.path().join("new"), &policy).unwrap();
        let noticed = tokio::time::timeout(Duration::from_secs(10), settled(&changed)).await;
        assert!(noticed.is_ok());
    }
}
