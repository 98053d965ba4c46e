//! A client's login from its first byte to two open connections: performs what [`crate::session::login`] decides.
//!
//! It reads and writes sockets, asks for verifiers, asks the policy whether a proven user may come in, and logs in
//! upstream with the user's own keys. It decides none of that itself. What it hands over has a role.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

pub use super::admission::{Admission, Admit, Denial, Identity, LoginContext, LoginFiles};
use super::lookup::{Shown, look_up};
use crate::ident::{DatabaseName, UserName};
use crate::limits::{FAREWELL_TIMEOUT_MS, LOGIN_INPUT_BYTES_MAX};
use crate::metrics::LoginMethod;
use crate::session::login::{Answered, Farewell, Login, LoginFault, Secured, Step, TlsOffer};
use crate::upstream::connect::{self, Upstream};
use crate::upstream::credential::Credential;
use crate::upstream::stream::MaybeTls;
use crate::wire::authentication::AUTHENTICATION_OK;
use crate::wire::certificate::Subject;
use crate::wire::startup::{CancelKey, Startup};
use crate::wire::tls::ALPN;
use crate::wire::upstream as reply;

/// A client that is in, and its session with the server. It has been told AuthenticationOk and no more.
#[derive(Debug)]
pub struct LoggedIn<S> {
    /// the client
    pub client: MaybeTls<S>,
    /// what it has sent already and nobody has looked at
    pub client_input: BytesMut,
    /// the session with the server, ready for queries
    pub upstream: Upstream,
    /// the startup packet
    pub startup: Startup,
    /// who it is
    pub identity: Identity,
    /// what the policy grants
    pub admission: Admission,
    /// how it proved itself
    pub method: LoginMethod,
}

impl<S: AsyncRead + AsyncWrite + Unpin> LoggedIn<S> {
    /// Tells the client what the server said, pgveil's own cancel key for the session, and that it may begin.
    ///
    /// # Errors
    /// The client's connection ended.
    pub async fn welcome(&mut self, key: &CancelKey) -> std::io::Result<()> {
        let mut out = std::mem::take(&mut self.upstream.greeting.frames);
        reply::write_backend_key_data(&mut out, key.process, key.secret())
            .map_err(std::io::Error::other)?;
        reply::put_ready_for_query(&mut out, self.upstream.greeting.status);
        self.client.write_all(&out).await?;
        self.client.flush().await
    }

    /// Bytes of the secret a cancel key for this client has: 4 in protocol 3.0, 32 in 3.2.
    pub fn cancel_secret_bytes(&self) -> usize {
        match self.startup.version() {
            crate::wire::startup::ProtocolVersion::V3_0 => 4,
            crate::wire::startup::ProtocolVersion::V3_2 => 32,
        }
    }
}

/// What became of a connection.
#[derive(Debug)]
pub enum Accepted<S> {
    /// a session
    Session(Box<LoggedIn<S>>),
    /// a request to cancel the statement of the session with that key, and the connection it came by: the client
    /// takes its end for the cancel's arrival, and sends its next statement then
    Cancel(CancelKey, Box<MaybeTls<S>>),
}

/// A login that failed: what audit and metrics need. The client has been told and closed.
#[derive(Debug)]
pub struct LoginFailure {
    /// why, for the operator
    pub fault: LoginFault,
    /// the user and the database it named, if it came that far
    pub named: Option<(UserName, DatabaseName)>,
    /// the SQLSTATE the client was told; None where it was told nothing
    pub sqlstate: Option<String>,
    /// how it was tried
    pub method: LoginMethod,
}

/// Takes a connection through its login. `address` is None at a Unix socket.
///
/// # Errors
/// [`LoginFailure`], after the client has been told.
pub async fn accept<S>(
    stream: S,
    address: Option<IpAddr>,
    context: &LoginContext,
) -> Result<Accepted<S>, LoginFailure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let files = context.files.load_full();
    // PostgreSQL has no TLS at a Unix socket either: nobody reads along there.
    let at_socket = address.is_none();
    let offer = match (&files.tls, context.tls_required) {
        _ if at_socket => TlsOffer::None,
        (_, true) => TlsOffer::Required,
        (Some(_), false) => TlsOffer::Offered,
        (None, false) => TlsOffer::None,
    };
    let mut door = Door {
        stream: Some(MaybeTls::Plain(stream)),
        input: BytesMut::new(),
        login: Login::new(offer),
        files,
        credential: None,
        method: LoginMethod::Unchosen,
    };
    let done = timeout(context.login_timeout, door.pass(address, context)).await;
    match done.unwrap_or(Err(LoginFault::Timeout)) {
        Ok(accepted) => Ok(accepted),
        Err(fault) => Err(door.close(fault).await),
    }
}

/// A connection during its login.
struct Door<S> {
    stream: Option<MaybeTls<S>>,
    input: BytesMut,
    login: Login,
    /// those of the connection's first moment: a reload in the middle of a login does not reach it
    files: Arc<LoginFiles>,
    /// what logs it in where its own answer does not
    credential: Option<Credential>,
    method: LoginMethod,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Door<S> {
    async fn pass(
        &mut self,
        address: Option<IpAddr>,
        context: &LoginContext,
    ) -> Result<Accepted<S>, LoginFault> {
        let place = context.crowd.enter();
        let answered = tokio::select! {
            answered = self.ask(context) => answered?,
            () = place.lost() => return Err(LoginFault::Crowded),
        };
        drop(place);
        let answered = match answered {
            Ok(answered) => answered,
            Err(key) => {
                let client = self.stream.take().ok_or(gone())?;
                return Ok(Accepted::Cancel(key, Box::new(client)));
            }
        };
        let Answered {
            startup,
            credential,
            is_proven,
            is_bound,
        } = answered;
        if is_bound {
            self.method = LoginMethod::ScramPlus;
        }
        let credential = self.credential.take().unwrap_or(credential);
        let identity = Identity {
            user: startup.user().clone(),
            database: startup.database().clone(),
            application: startup.application(),
            address,
            certificate: self.login.certificate().cloned(),
            encrypted: self.stream.as_ref().is_some_and(MaybeTls::is_encrypted),
        };
        // What the policy says of a login is for those who have proved that it is theirs.
        let (admission, upstream) = if is_proven {
            let admission = admit(&startup, &identity, context)?;
            let upstream = connect::login(&context.target, &startup, credential).await?;
            (admission, upstream)
        } else {
            let upstream = connect::login(&context.target, &startup, credential).await?;
            (admit(&startup, &identity, context)?, upstream)
        };
        self.send(&AUTHENTICATION_OK).await?;
        let client = self.stream.take().ok_or(gone())?;
        Ok(Accepted::Session(Box::new(LoggedIn {
            client,
            client_input: std::mem::take(&mut self.input),
            upstream,
            startup,
            identity,
            admission,
            method: self.method,
        })))
    }

    /// The login up to the client's answer; `Err` inside is a cancel request instead.
    async fn ask(
        &mut self,
        context: &LoginContext,
    ) -> Result<Result<Answered, CancelKey>, LoginFault> {
        let mut out = BytesMut::new();
        loop {
            let step = self.login.advance(&mut self.input, &mut out)?;
            self.send(&out.split()).await?;
            match step {
                Step::Read => self.read().await?,
                Step::StartTls => {
                    let secured = self.start_tls().await?;
                    self.login.encrypted(secured)?;
                }
                Step::LookUp(_) if context.draining.load(Ordering::Relaxed) => {
                    return Err(LoginFault::ShuttingDown);
                }
                Step::LookUp(user) => {
                    let shown = Shown {
                        encrypted: self.login.is_encrypted(),
                        certificate: self.login.certificate(),
                    };
                    let found = look_up(context, &self.files, (&user, shown)).await?;
                    self.method = found.method();
                    self.credential = found.credential;
                    self.login.challenge(found.challenge, &mut out)?;
                }
                Step::Cancel(key) => return Ok(Err(key)),
                Step::Answered(answered) => return Ok(Ok(*answered)),
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), LoginFault> {
        if bytes.is_empty() {
            return Ok(());
        }
        let stream = self.stream.as_mut().ok_or(gone())?;
        stream.write_all(bytes).await.map_err(io)?;
        stream.flush().await.map_err(io)
    }

    async fn read(&mut self) -> Result<(), LoginFault> {
        // Each stage refuses a longer message at its head, so a login never holds more than one of them.
        if self.input.len() >= LOGIN_INPUT_BYTES_MAX {
            return Err(LoginFault::SaslMessage);
        }
        self.input.reserve(1024);
        let stream = self.stream.as_mut().ok_or(gone())?;
        match stream.read_buf(&mut self.input).await.map_err(io)? {
            0 => Err(gone()),
            _ => Ok(()),
        }
    }

    async fn start_tls(&mut self) -> Result<Secured, LoginFault> {
        let (Some(MaybeTls::Plain(stream)), Some(tls)) = (self.stream.take(), &self.files.tls)
        else {
            return Err(LoginFault::TlsHandshake);
        };
        let failed = |_| LoginFault::TlsHandshake;
        let begun = begin_tls(stream, self.input.split()).await?;
        let stream = begun
            .into_stream(Arc::clone(&tls.config))
            .await
            .map_err(failed)?;
        let secured = Secured {
            end_point: tls.end_point.clone(),
            certificate: stream
                .get_ref()
                .1
                .peer_certificates()
                .and_then(|chain| Subject::of_certificate(chain.first()?)),
            is_postgresql: stream.get_ref().1.alpn_protocol() == Some(ALPN),
        };
        self.stream = Some(MaybeTls::Tls(Box::new(stream.into())));
        Ok(secured)
    }

    /// Tells the client why, within a short time, and closes.
    async fn close(mut self, fault: LoginFault) -> LoginFailure {
        let named = self.login.named().cloned();
        let mut out = BytesMut::new();
        let sqlstate = match fault.farewell(named.as_ref()) {
            Farewell::Silence => None,
            Farewell::Error(state, message, hint) => {
                reply::put_error(&mut out, "FATAL", state, (&message, hint), None);
                Some(state.to_string())
            }
            Farewell::Verbatim(frame) => {
                out.extend_from_slice(&frame);
                reply::Report::read(&frame[5..])
                    .ok()
                    .map(|report| String::from_utf8_lossy(&report.sqlstate()).into_owned())
            }
        };
        let parting = async {
            // The client may be gone already, or not reading: either way the connection ends here.
            let _ = self.send(&out).await;
            if let Some(stream) = &mut self.stream {
                let _ = stream.shutdown().await;
            }
        };
        let _ = timeout(Duration::from_millis(FAREWELL_TIMEOUT_MS), parting).await;
        LoginFailure {
            fault,
            named,
            sqlstate,
            method: self.method,
        }
    }
}

/// A handshake whose first bytes may have been read already.
async fn begin_tls<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    read: BytesMut,
) -> Result<StartHandshake<S>, LoginFault> {
    let mut acceptor = Acceptor::default();
    let mut rest = &read[..];
    while !rest.is_empty() {
        match acceptor.read_tls(&mut rest) {
            Ok(0) | Err(_) => return Err(LoginFault::TlsHandshake),
            Ok(_) => {}
        }
    }
    // All of its ClientHello may be here: then the client waits for us.
    match acceptor.accept() {
        Ok(Some(accepted)) => Ok(StartHandshake::from_parts(accepted, stream)),
        Ok(None) => {
            let begun = LazyConfigAcceptor::new(acceptor, stream).await;
            begun.map_err(|_| LoginFault::TlsHandshake)
        }
        Err(_) => Err(LoginFault::TlsHandshake),
    }
}

fn admit(
    startup: &Startup,
    identity: &Identity,
    context: &LoginContext,
) -> Result<Admission, LoginFault> {
    let admission = (context.admit)(identity).map_err(|denial| match denial {
        Denial::NoDatabase => LoginFault::NoDatabase,
        Denial::NoRole => LoginFault::NoRole,
        Denial::NotReady(reason) => LoginFault::NotReady(reason),
    })?;
    if startup.asks_for_replication() && !admission.replication {
        return Err(LoginFault::Replication);
    }
    Ok(admission)
}

fn gone() -> LoginFault {
    LoginFault::Gone(std::io::ErrorKind::UnexpectedEof)
}

fn io(error: std::io::Error) -> LoginFault {
    LoginFault::Gone(error.kind())
}
