//! What a login needs and what it is asked: the policy's answer, the certificate, the server, the verifiers.
//!
//! Made from the configuration; certificates are replaced while it is in use. It knows nothing of bytes.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use zeroize::Zeroizing;

use super::auth_file::AuthFile;
use super::crowd::Crowd;
use crate::config::{ClientCert, Config, ListenTls, Method};
use crate::document::Fault;
use crate::ident::{DatabaseName, RoleName, UserName};
use crate::keyring::Keyring;
use crate::policy::roles::{Allow, Caller};
use crate::policy::rule::Policy;
use crate::secret::Secret;
use crate::upstream::configured::read_pem;
use crate::upstream::connect::Target;
use crate::upstream::control::{Control, ControlLogin};
use crate::wire::certificate::Subject;
use crate::wire::tls::{self, ListenerTls, TlsFault};

/// Who wants to come in, and from where: what a policy may look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// the user, whose password is proven
    pub user: UserName,
    /// the database
    pub database: DatabaseName,
    /// `application_name` as the client set it
    pub application: String,
    /// the client's address; None at a Unix socket
    pub address: Option<IpAddr>,
    /// the subject of the client's certificate, which a CA of `client_ca` has signed
    pub certificate: Option<Subject>,
    /// whether the client is under TLS
    pub encrypted: bool,
}

/// What the policy grants a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// the session's role; None on a database whose policy is `none`
    pub role: Option<RoleName>,
    /// whether it may use the replication protocol
    pub replication: bool,
    /// whether it may send the FunctionCall message
    pub function_call: bool,
}

impl Admission {
    /// What a policy grants: its first role that matches.
    ///
    /// # Errors
    /// [`Denial::NoRole`] when none does.
    pub fn by_policy(policy: &Policy, identity: &Identity) -> Result<Self, Denial> {
        let caller = Caller {
            user: &identity.user,
            address: identity.address,
            application: &identity.application,
            certificate: identity.certificate.as_ref(),
        };
        let role = policy.role_for(caller).ok_or(Denial::NoRole)?;
        Ok(Self {
            role: Some(role.name().clone()),
            replication: role.allows(Allow::Replication),
            function_call: role.allows(Allow::FunctionCall),
        })
    }

    /// What a database without a policy grants: everything passes untreated, the replication protocol too.
    pub fn untreated() -> Self {
        Self {
            role: None,
            replication: true,
            function_call: true,
        }
    }
}

/// Why the policy grants a login nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// the database stands under no `[[database]]`
    NoDatabase,
    /// no role matches
    NoRole,
    /// the database cannot be served now; the reason is for the log
    NotReady(String),
}

/// Asks the policy about a login.
pub type Admit = dyn Fn(&Identity) -> Result<Admission, Denial> + Send + Sync;

/// What a login needs of files that are read again.
#[derive(Debug, Default)]
pub struct LoginFiles {
    /// the clients' TLS settings; None offers no TLS
    pub tls: Option<ListenerTls>,
    /// the logins pgveil itself knows the secrets of
    pub auth_file: Option<AuthFile>,
}

impl LoginFiles {
    /// Reads all of them. May take a while: not for a thread that serves.
    ///
    /// # Errors
    /// Every fault, each naming its file.
    pub fn read(config: &Config, decoy_key: &Secret<[u8; 32]>) -> Result<Self, Vec<Fault>> {
        let tls = config.listen.tls.as_ref().map(clients_tls).transpose();
        let auth_file = config.upstream.auth_file.as_deref();
        let auth_file = auth_file
            .map(|file| AuthFile::read(file, decoy_key))
            .transpose();
        match (tls, auth_file) {
            (Ok(tls), Ok(auth_file)) => Ok(Self { tls, auth_file }),
            (tls, auth_file) => Err(tls.err().into_iter().chain(auth_file.err()).collect()),
        }
    }
}

/// All that a login needs, shared by all of them.
pub struct LoginContext {
    /// the connections that have not answered yet
    pub crowd: Crowd,
    /// what was read of files, replaced whole on reload
    pub files: ArcSwap<LoginFiles>,
    /// whether plain clients are refused
    pub tls_required: bool,
    /// from the first byte to an open session
    pub login_timeout: Duration,
    /// how passwords are checked
    pub method: Method,
    /// what a client's certificate is good for
    pub client_cert: ClientCert,
    /// where verifiers come from
    pub control: Control,
    /// what the decoys of unknown users are derived from; the same on every instance, or they can be told apart
    pub decoy_key: Secret<[u8; 32]>,
    /// the server
    pub target: Target,
    /// the policy's answer
    pub admit: Box<Admit>,
    /// whether nobody is let in any more
    pub draining: AtomicBool,
}

impl fmt::Debug for LoginContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginContext")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl LoginContext {
    /// The context of a configuration. Verifiers are read in the configuration's verifier database. Without a
    /// keyring the decoys differ from one start to the next.
    ///
    /// # Errors
    /// Faults that name the files that cannot be used: certificate, key, CA, auth_file or password.
    pub fn configured(
        config: &Config,
        keyring: Option<&Keyring>,
        admit: Box<Admit>,
    ) -> Result<Self, Vec<Fault>> {
        let one = |fault| vec![fault];
        let target = Target::configured(&config.upstream).map_err(one)?;
        let database = DatabaseName::new(config.verifier_database().unwrap_or("postgres"));
        let control = ControlLogin::configured(&target, &config.upstream.control, database);
        let control = control.map_err(one)?;
        let decoy_key = keyring.map_or_else(|| Secret::new(rand::random()), Keyring::decoy_key);
        Ok(Self {
            crowd: Crowd::default(),
            files: ArcSwap::from_pointee(LoginFiles::read(config, &decoy_key)?),
            method: config.upstream.method,
            client_cert: config
                .listen
                .tls
                .as_ref()
                .map_or(ClientCert::Optional, |tls| tls.client_cert),
            tls_required: config.listen.tls.as_ref().is_some_and(|tls| tls.require),
            login_timeout: config.listen.login_timeout,
            control: Control::new(control),
            decoy_key,
            target,
            admit,
            draining: AtomicBool::new(false),
        })
    }
}

fn clients_tls(tls: &ListenTls) -> Result<ListenerTls, Fault> {
    let certificate = read_pem(&tls.certificate)?;
    let key = Zeroizing::new(read_pem(&tls.key)?);
    let client_ca = tls.client_ca.as_deref().map(read_pem).transpose()?;
    let made = tls::server_config_with(&certificate, &key, client_ca.as_deref());
    made.map_err(|fault| {
        let file = match fault {
            TlsFault::ClientCa => tls.client_ca.as_ref().unwrap_or(&tls.certificate),
            TlsFault::Certificate => &tls.certificate,
            TlsFault::Key
            | TlsFault::Mismatch
            | TlsFault::NoRoots
            | TlsFault::ServerName
            | TlsFault::Versions => &tls.key,
        };
        Fault::of_file(&file.display().to_string(), fault.to_string())
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::load::load;

    const POLICY: &str = "\
version: 1
roles:
  - name: app
    match: { user: crm_app, network: [10.0.0.0/8] }
  - name: analyst
    match: { user: \"bi_*\" }
    allow: [replication]
tables:
  public.contacts:
    columns:
      email:
        show: { app: plain, \"*\": null }
";

    fn identity(user: &str, address: &str) -> Identity {
        Identity {
            user: UserName::new(user),
            database: DatabaseName::new("crm"),
            application: String::new(),
            address: address.parse().ok(),
            certificate: None,
            encrypted: true,
        }
    }

    #[test]
    fn the_first_role_that_matches_is_granted_and_no_other() {
        let policy = load("crm.yaml", POLICY).unwrap().policy;
        let granted = |user, address| Admission::by_policy(&policy, &identity(user, address));
        let app = granted("crm_app", "10.1.2.3").unwrap();
        assert_eq!(app.role, Some(RoleName::new("app")));
        assert!(!app.replication);
        assert!(granted("bi_anna", "192.0.2.1").unwrap().replication);
        for (user, address) in [
            ("crm_app", "192.0.2.1"),
            ("crm_app", ""),
            ("anna", "10.1.2.3"),
        ] {
            assert_eq!(
                granted(user, address),
                Err(Denial::NoRole),
                "{user} {address}"
            );
        }
    }

    #[test]
    fn a_context_is_made_from_the_configuration_and_faults_name_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = made.signing_key.serialize_pem();
        std::fs::write(folder.path().join("server.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("server.key"), &key).unwrap();
        let text = "[listen]\naddress = \"127.0.0.1:6432\"\n\
            tls = { certificate = \"server.pem\", key = \"server.key\", require = true }\n\
            [upstream]\naddress = \"localhost:5432\"\ncontrol = { user = \"pgveil\" }\n\
            [[database]]\nname = \"postgres\"\npolicy = \"none\"\n";
        let file = folder.path().join("pgveil.toml");
        let config = Config::parse(&file, text, []).unwrap();
        let context = |config: &Config| {
            let admit: Box<Admit> = Box::new(|_| Ok(Admission::untreated()));
            LoginContext::configured(config, None, admit)
        };
        let made = context(&config).unwrap();
        assert!(made.tls_required && made.files.load().tls.is_some());
        assert_eq!(made.control.login().database.as_str(), "postgres");
        std::fs::write(folder.path().join("server.key"), "no key").unwrap();
        let fault = LoginFiles::read(&config, &made.decoy_key).unwrap_err();
        assert!(
            fault.len() == 1 && fault[0].file.ends_with("server.key"),
            "{fault:?}"
        );
        std::fs::write(folder.path().join("server.key"), &key).unwrap();
        let mut elsewhere = config.clone();
        elsewhere.upstream.ca = Some(Path::new("/nowhere/ca.pem").to_owned());
        elsewhere.upstream.tls = crate::config::TlsMode::VerifyFull;
        let fault = context(&elsewhere).unwrap_err();
        assert_eq!(
            fault[0].to_string(),
            "/nowhere/ca.pem: cannot be read: entity not found"
        );
    }
}
