//! Clients' certificates: roles by subject, certificates that are required, and ones in place of a password.

use std::path::PathBuf;

use pgveil::config::{ClientCert, Method};
use pgveil::policy::load::load;
use pgveil::server::auth_file::AuthFile;
use pgveil::server::login::{Admission, Admit};
use pgveil::session::login::LoginFault;
use pgveil::wire::tls;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::io::AsyncWriteExt;

use crate::gate::*;
use crate::support::{cluster, create_login, fresh_name};

const POLICY: &str = "\
version: 1
roles:
  - { name: support, match: { client_cert: \"CN=*.support\" } }
  - { name: app, match: { user: \"app*\" } }
tables: {}
";

/// An authority, and a folder for what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "the authority");
        let own = params.self_signed(&key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), own.pem()).expect("a file");
        Self {
            issuer: Issuer::new(params, key),
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Signs a certificate of that name; libpq's parameters for it.
    fn sign(&self, name: &str) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate");
        let (certificate, private) = (self.path("client.pem"), self.path("client.key"));
        let certificate = certificate.with_file_name(format!("{name}.pem"));
        let private = private.with_file_name(format!("{name}.key"));
        std::fs::write(&certificate, signed.pem()).expect("a file");
        std::fs::write(&private, key.serialize_pem()).expect("a file");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&private, mode).expect("its mode");
        format!(
            "sslcert={} sslkey={}",
            certificate.display(),
            private.display()
        )
    }

    async fn gate(&self, client_cert: ClientCert, auth_file: Option<AuthFile>) -> Gate {
        let (cert, key) = self_signed(&["localhost"]);
        let ca = std::fs::read(self.path("ca.pem")).expect("the authority");
        let server = tls::server_config_with(cert.as_bytes(), key.as_bytes(), Some(&ca));
        let policy = load("crm.yaml", POLICY).expect("a policy").policy;
        let admit: Box<Admit> = Box::new(move |identity| Admission::by_policy(&policy, identity));
        let options = Options {
            tls: Some(server.expect("settings")),
            admit,
            client_cert,
            auth_file,
            method: Method::Verifier,
            ..Options::default()
        };
        Gate::open(cluster(), options).await
    }
}

async fn login(prefix: &str) -> String {
    let user = fresh_name(prefix);
    create_login(cluster(), &user, "pencil", "").await;
    user
}

/// Who psql comes in as under TLS, or what it says.
async fn psql_as(gate: &Gate, user: &str, more: &str) -> Result<String, String> {
    let port = gate.address.port();
    let url =
        format!("host=127.0.0.1 port={port} user={user} dbname=postgres sslmode=require {more}");
    let asked = tokio::task::spawn_blocking(move || psql(&url, "SELECT session_user"));
    asked.await.expect("psql")
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_match_the_subject_of_a_verified_certificate() {
    if !has_psql() {
        return;
    }
    let authority = Authority::new();
    let mut gate = authority.gate(ClientCert::Optional, None).await;
    let (anna, app) = (login("anna").await, login("app").await);
    let support = authority.sign("anna.support");
    let sales = authority.sign("anna.sales");
    let right = format!("password=pencil {support}");
    assert_eq!(psql_as(&gate, &anna, &right).await, Ok(anna.clone()));
    // The password is asked for all the same, and the subject is evidence for who shows it only.
    let wrong = psql_as(&gate, &anna, &format!("password=pencils {support}")).await;
    assert!(wrong.is_err_and(|said| said.contains("password authentication failed")));
    assert_eq!(gate.fault().await, LoginFault::Password);
    for more in ["sslcert=/nowhere", &sales] {
        let none = psql_as(&gate, &anna, &format!("password=pencil {more}")).await;
        assert!(
            none.is_err_and(|said| said.contains("no role of the policy")),
            "{more}"
        );
        assert_eq!(gate.fault().await, LoginFault::NoRole);
    }
    let without = psql_as(&gate, &app, "password=pencil sslcert=/nowhere").await;
    assert_eq!(without, Ok(app));
    // Somebody else's authority: libpq does not even show it to one that asks for its own, or the handshake fails.
    let forged = Authority::new().sign("anna.support");
    let said = psql_as(&gate, &anna, &format!("password=pencil {forged}")).await;
    assert!(said.is_err(), "{said:?}");
    assert!(matches!(
        gate.fault().await,
        LoginFault::TlsHandshake | LoginFault::Gone(_) | LoginFault::NoRole
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_certificate_is_required_before_the_password() {
    if !has_psql() {
        return;
    }
    let authority = Authority::new();
    let mut gate = authority.gate(ClientCert::Required, None).await;
    let app = login("app").await;
    let shown = authority.sign("whoever");
    let shown = psql_as(&gate, &app, &format!("password=pencil {shown}")).await;
    assert_eq!(shown, Ok(app.clone()));
    let none = psql_as(&gate, &app, "password=pencil sslcert=/nowhere").await;
    assert!(none.is_err_and(|said| said.contains("requires a valid client certificate")));
    assert_eq!(gate.fault().await, LoginFault::NoCertificate);
    // Nor does a client that stays plain get round it.
    let hello = startup(3 << 16, &[("user", &app), ("database", "postgres")]);
    let mut stream = gate.raw(&hello).await;
    stream.flush().await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said[0] == b'E' && holds_error(&said, "28000"), "{said:?}");
    assert_eq!(gate.fault().await, LoginFault::NoCertificate);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_logs_in_with_what_the_auth_file_has_and_else_not() {
    use std::os::unix::fs::PermissionsExt as _;
    if !has_psql() {
        return;
    }
    let authority = Authority::new();
    let (app, other) = (login("app").await, login("app").await);
    let verifier = pgveil::wire::scram::Verifier::new(&pgveil::secret::Secret::new("x".to_owned()));
    let only_verified = login("app").await;
    let lines = format!(
        "\"{app}\" \"pencil\"\n\"{only_verified}\" \"{}\"\n",
        verifier.to_stored().expose()
    );
    let file = authority.path("users.txt");
    std::fs::write(&file, lines).unwrap();
    let read = |mode| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        AuthFile::read(&file, &pgveil::secret::Secret::new(DECOY_KEY))
    };
    let open = read(0o644).unwrap_err();
    assert_eq!(open.message, "others can read it (its mode is 644)");
    let users = read(0o600).unwrap();
    let mut gate = authority
        .gate(ClientCert::InsteadOfPassword, Some(users))
        .await;
    let own = authority.sign(&app);
    assert_eq!(
        psql_as(&gate, &app, &own).await,
        Ok(app.clone()),
        "no password"
    );
    // Another's name: the password is asked for, and psql has none to give.
    let said = psql_as(&gate, &other, &own).await;
    assert!(said.is_err_and(|said| said.contains("no password supplied")));
    gate.fault().await;
    let with_password = psql_as(&gate, &other, &format!("password=pencil {own}")).await;
    assert_eq!(with_password, Ok(other.clone()));
    // Proved, and nothing there that PostgreSQL would take.
    for user in [&other, &only_verified] {
        let said = psql_as(&gate, user, &authority.sign(user)).await;
        assert!(said.is_err_and(|said| said.contains("auth_file")), "{user}");
        let failure = gate.failure().await;
        assert_eq!(failure.fault, LoginFault::NoCredential);
        assert_eq!(failure.sqlstate.as_deref(), Some("28000"));
    }
}
