//! A client's login, without I/O: its bytes in, pgveil's answers and requests out, until the client has proved
//! that it knows the password of the user it names.
//!
//! [`Login`] is driven by `server::login`: it says what it needs next ([`Step`]), and never touches a socket, a
//! clock or a server. It knows nothing of policy: whether a proven user may come in is asked elsewhere.
//!
//! Source: PostgreSQL manual, "Message Flow: Start-up"; `ProcessStartupPacket` and `CheckSCRAMAuth` for order and
//! faults.

use bytes::BytesMut;
use zeroize::Zeroize as _;

pub use super::farewell::{Farewell, LoginFault, SHUTTING_DOWN};
use crate::ident::{DatabaseName, UserName};
use crate::limits::{PASSWORD_FRAME_BYTES_MAX, SASL_FRAME_BYTES_MAX};
use crate::secret::Secret;
use crate::upstream::credential::Credential;
use crate::wire::authentication;
use crate::wire::certificate::{EndPoint, Subject};
use crate::wire::frame::{self, Sender};
use crate::wire::md5::{self, Md5Hash};
use crate::wire::scram::{Mechanism, ServerExchange, Verifier};
use crate::wire::startup::{CancelKey, Opening, Startup};

/// Whether clients may, or must, come under TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsOffer {
    /// there is no certificate: SSLRequest is answered `N`
    None,
    /// SSLRequest is answered `S`; plain clients are served too
    Offered,
    /// plain clients are refused before any password is asked for
    Required,
}

/// What the login needs next. What stands in `out` is always sent first.
#[derive(Debug)]
pub enum Step {
    /// more bytes of the client
    Read,
    /// a TLS handshake, which begins with what has been read and not taken, then [`Login::encrypted`]
    StartTls,
    /// what that user is to be asked, then [`Login::challenge`]
    LookUp(UserName),
    /// nothing: the client wants another session's statement cancelled and will be closed
    Cancel(CancelKey),
    /// nothing: the client has answered, and what could be checked here holds
    Answered(Box<Answered>),
}

/// What a TLS handshake with the client has left.
#[derive(Debug, Clone, Default)]
pub struct Secured {
    /// the hash of pgveil's certificate, which the client's SCRAM exchange may be bound to
    pub end_point: Option<EndPoint>,
    /// the subject of the client's certificate, which was verified
    pub certificate: Option<Subject>,
    /// whether both have agreed, in the handshake, on PostgreSQL's protocol
    pub is_postgresql: bool,
}

/// The first byte of a TLS handshake, which no startup packet begins with: its length would be 350 MB.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a client is asked.
#[derive(Debug, Clone)]
pub enum Challenge {
    /// SCRAM-SHA-256, bound to the channel where it can be
    Scram(Verifier),
    /// md5
    Md5(Md5Hash),
    /// its password as it is
    Cleartext,
    /// nothing: its certificate has said who it is
    Nothing,
}

/// A client that has answered.
#[derive(Debug)]
pub struct Answered {
    /// its startup packet
    pub startup: Startup,
    /// what its answer has left to log it in with
    pub credential: Credential,
    /// whether it is known who it is; where not, the server has yet to say so
    pub is_proven: bool,
    /// whether the answer was bound to the TLS channel
    pub is_bound: bool,
}

#[derive(Debug)]
enum Stage {
    Opening,
    AwaitingChallenge(Startup),
    AwaitingInitial(Startup, Verifier),
    AwaitingFinal(Startup, Mechanism, Box<ServerExchange>),
    AwaitingMd5(Startup, Md5Hash, [u8; md5::SALT_BYTES]),
    AwaitingCleartext(Startup),
    Certified(Startup),
    Over,
}

/// A login under way. After a fault or a final step it answers nothing but faults.
#[derive(Debug)]
pub struct Login {
    offer: TlsOffer,
    secured: Option<Secured>,
    ssl_asked: bool,
    gss_asked: bool,
    stage: Stage,
    named: Option<(UserName, DatabaseName)>,
}

impl Login {
    /// A new connection, plain so far.
    pub fn new(offer: TlsOffer) -> Self {
        Self {
            offer,
            secured: None,
            ssl_asked: false,
            gss_asked: false,
            stage: Stage::Opening,
            named: None,
        }
    }

    /// The user and the database the client has named, for the record.
    pub fn named(&self) -> Option<&(UserName, DatabaseName)> {
        self.named.as_ref()
    }

    /// The TLS handshake is done.
    ///
    /// # Errors
    /// [`LoginFault::NotPostgresql`] when the client began with it and did not name the protocol: another protocol's
    /// client could be led here.
    pub fn encrypted(&mut self, secured: Secured) -> Result<(), LoginFault> {
        if !self.ssl_asked && !secured.is_postgresql {
            self.stage = Stage::Over;
            return Err(LoginFault::NotPostgresql);
        }
        self.secured = Some(secured);
        Ok(())
    }

    fn end_point(&self) -> Option<&EndPoint> {
        self.secured.as_ref()?.end_point.as_ref()
    }

    /// The subject of the client's certificate.
    pub fn certificate(&self) -> Option<&Subject> {
        self.secured.as_ref()?.certificate.as_ref()
    }

    /// Whether the client is under TLS.
    pub fn is_encrypted(&self) -> bool {
        self.secured.is_some()
    }

    /// What the user is to be asked is known: the user's own challenge, or a decoy for a user that cannot log in.
    /// Appends the request for a password to `out`.
    ///
    /// # Errors
    /// [`LoginFault::SaslMessage`] when none was asked for.
    pub fn challenge(
        &mut self,
        challenge: Challenge,
        out: &mut BytesMut,
    ) -> Result<(), LoginFault> {
        let Stage::AwaitingChallenge(startup) = self.take_stage() else {
            return Err(LoginFault::SaslMessage);
        };
        self.stage = match challenge {
            Challenge::Scram(verifier) => {
                let offered = match self.end_point() {
                    None => &[Mechanism::Unbound.name()][..],
                    Some(_) => &[Mechanism::Plus.name(), Mechanism::Unbound.name()],
                };
                authentication::put_sasl(out, offered)?;
                Stage::AwaitingInitial(startup, verifier)
            }
            Challenge::Md5(hash) => {
                let salt = rand::random();
                authentication::put_md5(out, salt)?;
                Stage::AwaitingMd5(startup, hash, salt)
            }
            Challenge::Nothing if self.certificate().is_none() => {
                return Err(LoginFault::NoCertificate);
            }
            Challenge::Nothing => Stage::Certified(startup),
            Challenge::Cleartext if self.secured.is_none() => return Err(LoginFault::TlsRequired),
            Challenge::Cleartext => {
                authentication::put_cleartext(out)?;
                Stage::AwaitingCleartext(startup)
            }
        };
        Ok(())
    }

    /// Goes on with what the client has sent, as far as it reaches.
    ///
    /// # Errors
    /// [`LoginFault`]; the connection must then be closed.
    pub fn advance(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
    ) -> Result<Step, LoginFault> {
        loop {
            let stage = self.take_stage();
            let longest = match &stage {
                Stage::AwaitingInitial(..) | Stage::AwaitingFinal(..) => SASL_FRAME_BYTES_MAX,
                Stage::AwaitingMd5(..) | Stage::AwaitingCleartext(_) => PASSWORD_FRAME_BYTES_MAX,
                Stage::Over => return Err(LoginFault::SaslMessage),
                Stage::Certified(startup) => {
                    return Ok(Step::Answered(Box::new(Answered {
                        startup: startup.clone(),
                        credential: Credential::Nothing,
                        is_proven: true,
                        is_bound: false,
                    })));
                }
                Stage::AwaitingChallenge(startup) => {
                    let user = startup.user().clone();
                    self.stage = stage;
                    return Ok(Step::LookUp(user));
                }
                Stage::Opening => match self.opening(input, out)? {
                    Some(step) => return Ok(step),
                    None => continue,
                },
            };
            let Some(frame) = response(input, longest)? else {
                self.stage = stage;
                return Ok(Step::Read);
            };
            if let Some(answered) = self.answer(stage, &frame, out)? {
                return Ok(Step::Answered(Box::new(answered)));
            }
        }
    }

    /// Takes the client's answer to what it was asked.
    fn answer(
        &mut self,
        stage: Stage,
        frame: &Secret<Vec<u8>>,
        out: &mut BytesMut,
    ) -> Result<Option<Answered>, LoginFault> {
        let body = frame.expose().get(5..).unwrap_or_default();
        let (startup, credential, is_bound) = match stage {
            Stage::AwaitingInitial(startup, verifier) => {
                self.stage = initial(body, (startup, verifier), self.end_point(), out)?;
                return Ok(None);
            }
            Stage::AwaitingFinal(startup, mechanism, exchange) => {
                let (keys, message) = exchange.finish(body)?;
                authentication::put_sasl_final(out, message.as_bytes())?;
                (
                    startup,
                    Credential::Keys(keys),
                    mechanism == Mechanism::Plus,
                )
            }
            Stage::AwaitingMd5(startup, hash, salt) => {
                if !hash.is_answered(salt, authentication::password(body)?) {
                    return Err(LoginFault::Password);
                }
                (startup, Credential::Md5(hash), false)
            }
            Stage::AwaitingCleartext(startup) => {
                let claimed = std::str::from_utf8(authentication::password(body)?)
                    .ok()
                    .filter(|claimed| !claimed.is_empty())
                    .ok_or(LoginFault::Password)?;
                let claimed = Secret::new(claimed.to_owned());
                (startup, Credential::Claimed(claimed), false)
            }
            Stage::Opening | Stage::AwaitingChallenge(_) | Stage::Certified(_) | Stage::Over => {
                return Err(LoginFault::SaslMessage);
            }
        };
        Ok(Some(Answered {
            is_proven: !matches!(credential, Credential::Claimed(_)),
            startup,
            credential,
            is_bound,
        }))
    }

    fn take_stage(&mut self) -> Stage {
        std::mem::replace(&mut self.stage, Stage::Over)
    }

    fn opening(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
    ) -> Result<Option<Step>, LoginFault> {
        if input.first() == Some(&TLS_HANDSHAKE) && self.may_begin_with_tls() {
            self.stage = Stage::Opening;
            return Ok(Some(Step::StartTls));
        }
        let Some((opening, length)) = Opening::read(input)? else {
            self.stage = Stage::Opening;
            return Ok(Some(Step::Read));
        };
        let _ = input.split_to(length);
        match opening {
            Opening::Ssl | Opening::Gss => {
                let step = self.encryption_request(&opening, out)?;
                if !input.is_empty() {
                    return Err(LoginFault::StuffedBytes); // CVE-2021-23214's class
                }
                self.stage = Stage::Opening;
                Ok(Some(step))
            }
            Opening::Cancel(key) => Ok(Some(Step::Cancel(key))),
            Opening::Startup(startup) => {
                self.named = Some((startup.user().clone(), startup.database().clone()));
                startup.put_negotiation(out)?;
                if self.offer == TlsOffer::Required && self.secured.is_none() {
                    return Err(LoginFault::TlsRequired);
                }
                self.stage = Stage::AwaitingChallenge(*startup);
                Ok(None)
            }
        }
    }

    /// Whether TLS may begin without a request: as the connection's first byte.
    fn may_begin_with_tls(&self) -> bool {
        let is_first = !self.ssl_asked && !self.gss_asked && self.secured.is_none();
        is_first && self.offer != TlsOffer::None
    }

    fn encryption_request(
        &mut self,
        request: &Opening,
        out: &mut BytesMut,
    ) -> Result<Step, LoginFault> {
        let is_ssl = matches!(request, Opening::Ssl);
        let asked = if is_ssl {
            &mut self.ssl_asked
        } else {
            &mut self.gss_asked
        };
        if std::mem::replace(asked, true) || self.secured.is_some() {
            return Err(LoginFault::RepeatedRequest);
        }
        if is_ssl && self.offer != TlsOffer::None {
            out.extend_from_slice(b"S");
            Ok(Step::StartTls)
        } else {
            out.extend_from_slice(b"N");
            Ok(Step::Read)
        }
    }
}

/// The next frame, if it is there; only a response of this size may come. It may hold a password.
fn response(
    input: &mut BytesMut,
    frame_bytes_max: usize,
) -> Result<Option<Secret<Vec<u8>>>, LoginFault> {
    if input.first().is_some_and(|&tag| tag != b'p') {
        return Err(LoginFault::SaslMessage);
    }
    let head = frame::head(input, Sender::Client).map_err(|_| LoginFault::SaslMessage)?;
    match head {
        Some(head) if head.frame_bytes > frame_bytes_max => Err(LoginFault::SaslMessage),
        Some(head) if input.len() >= head.frame_bytes => {
            let mut frame = input.split_to(head.frame_bytes);
            let taken = Secret::new(frame.to_vec());
            frame.as_mut().zeroize();
            Ok(Some(taken))
        }
        _ => Ok(None),
    }
}

fn initial(
    body: &[u8],
    (startup, verifier): (Startup, Verifier),
    end_point: Option<&EndPoint>,
    out: &mut BytesMut,
) -> Result<Stage, LoginFault> {
    let (mechanism, data) = authentication::sasl_initial_response(body)?;
    let mechanism = Mechanism::by_name(mechanism)
        .filter(|mechanism| *mechanism == Mechanism::Unbound || end_point.is_some())
        .ok_or(LoginFault::Mechanism)?;
    // A client may send its first data only when asked (manual, "SASL Authentication"); none of them does.
    let data = data.ok_or(LoginFault::SaslMessage)?;
    let (exchange, server_first) = ServerExchange::begin(mechanism, data, verifier, end_point)?;
    authentication::put_sasl_continue(out, server_first.as_bytes())?;
    Ok(Stage::AwaitingFinal(startup, mechanism, Box::new(exchange)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::scram::{Binding, ClientExchange, ClientKeys};
    use crate::wire::startup::SSL_REQUEST_PACKET;

    fn hello(user: &str) -> Vec<u8> {
        let mut packet = vec![0, 0, 0, 0, 0, 3, 0, 0];
        packet.extend_from_slice(format!("user\0{user}\0\0").as_bytes());
        packet[3] = packet.len() as u8;
        packet
    }

    fn password() -> Secret<String> {
        Secret::new("pencil".to_owned())
    }

    /// A login and the bytes between it and a client that knows the password.
    struct Pair {
        login: Login,
        input: BytesMut,
        out: BytesMut,
    }

    impl Pair {
        fn new(offer: TlsOffer) -> Self {
            Self {
                login: Login::new(offer),
                input: BytesMut::new(),
                out: BytesMut::new(),
            }
        }

        /// Sends bytes in chunks; answers the last step.
        fn send(&mut self, bytes: &[u8], chunk: usize) -> Result<Step, LoginFault> {
            let mut step = Step::Read;
            for part in bytes.chunks(chunk.max(1)) {
                self.input.extend_from_slice(part);
                step = self.login.advance(&mut self.input, &mut self.out)?;
            }
            Ok(step)
        }
    }

    fn whole_login(chunk: usize) -> Result<Step, LoginFault> {
        let mut pair = Pair::new(TlsOffer::Offered);
        let step = pair.send(&hello("anna"), chunk)?;
        assert!(matches!(step, Step::LookUp(user) if user.as_str() == "anna"));
        let verifier = Verifier::of_password(&password(), b"salt", 1);
        pair.login
            .challenge(Challenge::Scram(verifier), &mut pair.out)?;
        pair.out.clear();
        let keys = ClientKeys::of_password(&password(), b"salt", 1);
        let (exchange, first) = ClientExchange::begin(Binding::Nothing);
        let mut message = BytesMut::new();
        authentication::put_sasl_initial_response(
            &mut message,
            Mechanism::Unbound.name(),
            first.as_bytes(),
        )?;
        pair.send(&message, chunk)?;
        let server_first = pair.out.split().split_off(9);
        let answered = exchange.respond(&server_first, |_, _| Ok(keys));
        let (_, last) = answered.expect("an honest server");
        let mut message = BytesMut::new();
        authentication::put_sasl_response(&mut message, last.expose().as_bytes())?;
        let step = pair.send(&message, chunk)?;
        let after = pair.send(b"Q\0\0\0\x05\0", chunk);
        assert!(after.is_err(), "a login is over once");
        Ok(step)
    }

    #[test]
    fn n03_after_a_fault_nothing_is_answered() {
        let mut pair = Pair::new(TlsOffer::None);
        pair.send(&hello("anna"), 100).unwrap();
        let decoy = Verifier::decoy(&Secret::new([1; 32]), &UserName::new("anna"));
        pair.login
            .challenge(Challenge::Scram(decoy), &mut pair.out)
            .unwrap();
        let fault = pair.send(b"Q\0\0\0\x05\0", 100).unwrap_err();
        assert_eq!(fault, LoginFault::SaslMessage);
        pair.out.clear();
        for bytes in [&hello("anna")[..], b"p\0\0\0\x04", &SSL_REQUEST_PACKET] {
            assert!(pair.send(bytes, 100).is_err());
            assert!(pair.out.is_empty());
        }
    }

    #[test]
    fn a_password_in_the_clear_is_asked_for_under_tls_only() {
        let mut pair = Pair::new(TlsOffer::Offered);
        pair.send(&hello("anna"), 100).unwrap();
        let asked = pair.login.challenge(Challenge::Cleartext, &mut pair.out);
        assert_eq!(asked, Err(LoginFault::TlsRequired));
        assert!(pair.out.is_empty());
        let under_tls = |answer: &[u8], chunk| {
            let mut pair = Pair::new(TlsOffer::Offered);
            pair.send(&SSL_REQUEST_PACKET, 100)?;
            pair.login.encrypted(Secured::default())?;
            pair.send(&hello("anna"), 100)?;
            pair.login.challenge(Challenge::Cleartext, &mut pair.out)?;
            pair.send(answer, chunk)
        };
        for chunk in [1, 5, 100] {
            match under_tls(b"p\0\0\0\x0bpencil\0", chunk) {
                Ok(Step::Answered(answered)) => {
                    assert!(!answered.is_proven, "the server has yet to say so");
                    assert!(matches!(answered.credential, Credential::Claimed(_)));
                }
                other => panic!("{other:?}"),
            }
        }
        for (answer, fault) in [
            (&b"p\0\0\0\x05\0"[..], LoginFault::Password),
            (b"p\0\0\0\x06\xff\0", LoginFault::Password),
            (b"p\0\0\0\x06pp", LoginFault::SaslMessage),
            (b"p\0\0\0\x07p\0p", LoginFault::SaslMessage),
            (b"p\0\0\x20\x00p", LoginFault::SaslMessage),
        ] {
            assert_eq!(under_tls(answer, 100).err(), Some(fault), "{answer:?}");
        }
    }

    #[test]
    fn only_a_certificate_spares_the_password() {
        let mut pair = Pair::new(TlsOffer::Offered);
        pair.send(&hello("anna"), 100).unwrap();
        let spared = pair.login.challenge(Challenge::Nothing, &mut pair.out);
        assert_eq!(spared, Err(LoginFault::NoCertificate));
        assert!(pair.send(b"Q\0\0\0\x05\0", 100).is_err());
    }

    #[test]
    fn md5_is_answered_for_its_own_salt() {
        let hash = Md5Hash::of_password(&password(), &UserName::new("anna"));
        let answered = |wrong: bool| {
            let mut pair = Pair::new(TlsOffer::None);
            pair.send(&hello("anna"), 100)?;
            pair.login
                .challenge(Challenge::Md5(hash.clone()), &mut pair.out)?;
            let mut salt: [u8; 4] = pair.out[9..13].try_into().unwrap();
            salt[0] ^= u8::from(wrong);
            let mut message = BytesMut::new();
            let answer = hash.answer(salt);
            authentication::put_password(&mut message, answer.expose().as_bytes())?;
            pair.send(&message, 7)
        };
        assert!(matches!(answered(false), Ok(Step::Answered(a)) if a.is_proven));
        assert_eq!(answered(true).err(), Some(LoginFault::Password));
    }

    #[test]
    fn n02_tls_required_stops_a_plain_client_and_no_encrypted_one() {
        let mut pair = Pair::new(TlsOffer::Required);
        let fault = pair.send(&hello("anna"), 100).unwrap_err();
        assert_eq!(fault, LoginFault::TlsRequired);
        let mut pair = Pair::new(TlsOffer::Required);
        let step = pair.send(&SSL_REQUEST_PACKET, 100).unwrap();
        assert!(matches!(step, Step::StartTls));
        pair.login.encrypted(Secured::default()).unwrap();
        let step = pair.send(&hello("anna"), 100).unwrap();
        assert!(matches!(step, Step::LookUp(_)));
        // Inside TLS there is nothing more to ask for.
        let mut pair = Pair::new(TlsOffer::Required);
        pair.send(&SSL_REQUEST_PACKET, 100).unwrap();
        pair.login.encrypted(Secured::default()).unwrap();
        let fault = pair.send(&SSL_REQUEST_PACKET, 100).unwrap_err();
        assert_eq!(fault, LoginFault::RepeatedRequest);
    }

    #[test]
    fn n05_the_farewell_does_not_say_whether_a_user_exists() {
        let named = (UserName::new("anna"), DatabaseName::new("crm"));
        let told = LoginFault::Password.farewell(Some(&named));
        let text = "password authentication failed for user \"anna\"".to_owned();
        assert_eq!(
            told,
            Farewell::Error(crate::ident::SqlState::INVALID_PASSWORD, text, "")
        );
    }

    proptest! {
        #[test]
        fn a_login_is_the_same_however_its_bytes_arrive(chunk in 1usize..200) {
            let proven = matches!(whole_login(chunk), Ok(Step::Answered(_)));
            prop_assert!(proven);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), chunk in 1usize..80) {
            let _ = Pair::new(TlsOffer::Offered).send(&bytes, chunk);
            let mut pair = Pair::new(TlsOffer::None);
            let _ = pair.send(&hello("anna"), 100);
            let decoy = Verifier::decoy(&Secret::new([1; 32]), &UserName::new("anna"));
            let _ = pair.login.challenge(Challenge::Scram(decoy), &mut pair.out);
            let mut framed = vec![b'p', 0, 0, 0, bytes.len() as u8 + 4];
            framed.extend_from_slice(&bytes);
            let _ = pair.send(&framed, chunk);
        }
    }
}
