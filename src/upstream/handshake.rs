//! The server's side of a login, without I/O: its frames in, pgveil's answers out, until it is ready for queries.
//!
//! It logs in with a user's [`Credential`]. The server is not trusted: a message out of turn, or one too many, ends
//! the connection, and AuthenticationOk counts only before SCRAM has begun or after the server's signature was
//! verified. A password that the server is to check must have been asked for.

use bytes::{Bytes, BytesMut};

use super::credential::Credential;
use crate::ident::UserName;
use crate::limits::UPSTREAM_LOGIN_FRAMES_MAX;
use crate::wire::authentication::{self, Authentication};
use crate::wire::certificate::EndPoint;
use crate::wire::message::MessageFault;
use crate::wire::scram::{Binding, ClientExchange, ClientFinal, Mechanism, ScramFault};
use crate::wire::startup::CancelKey;
use crate::wire::upstream;

/// Why no session with the server came to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamFault {
    /// No connection, or it ended.
    #[error("the database server cannot be reached ({0})")]
    Unreachable(std::io::ErrorKind),
    /// It took longer than the login may.
    #[error("the database server did not answer in time")]
    Timeout,
    /// The server offers no TLS, and the mode wants it.
    #[error("the database server offers no TLS")]
    NoTls,
    /// The TLS handshake failed; most often the certificate.
    #[error("TLS with the database server failed")]
    TlsHandshake,
    /// The server refused, in its own words: an ErrorResponse frame, for the client.
    #[error("the database server refused the login")]
    Refused(Bytes),
    /// The server asks for a method that cannot be served with what pgveil has of the login.
    #[error("the database server asks for the authentication method {0}, which cannot be served")]
    Method(&'static str),
    /// The server wants SCRAM, and all that is stored of the login is md5: to a client that came directly it would
    /// say that the password is wrong.
    #[error(
        "the database server asks for scram-sha-256, and the stored password of the login is md5"
    )]
    Md5Only,
    /// The server let in without asking for the password that it was to check.
    #[error("the database server asks for no password where it is to check one")]
    Unchecked,
    /// The SCRAM exchange failed on the server's side.
    #[error("the database server: {0}")]
    Scram(ScramFault),
    /// The server broke the protocol.
    #[error("the database server broke the protocol during login")]
    Protocol,
}

impl From<MessageFault> for UpstreamFault {
    fn from(_: MessageFault) -> Self {
        Self::Protocol
    }
}

/// What a server said before it was ready.
#[derive(Debug, Default)]
pub struct Greeting {
    /// the ParameterStatus and NoticeResponse frames, as they came, for the client
    pub frames: BytesMut,
    /// the ParameterStatus messages: name and value
    pub parameters: Vec<(Vec<u8>, Vec<u8>)>,
    /// what cancels this session's statements; None where the server gave no key
    pub key: Option<CancelKey>,
    /// the transaction status of ReadyForQuery (`I`)
    pub status: u8,
}

impl Greeting {
    /// The value of a reported setting, where it is UTF-8.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().rev();
        let mut found = found.filter(|(n, _)| n == name.as_bytes());
        found
            .next()
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
    }
}

/// Where the login stands.
#[derive(Debug)]
enum Stage {
    /// the startup packet is sent
    Begun(Credential),
    /// client-first is sent
    First(ClientExchange, Credential),
    /// client-final is sent
    Final(ClientFinal),
    /// the password, or its hash, is sent
    Answered,
    /// the server has proved itself
    Proven,
    /// the server has let the user in
    Admitted,
    /// nothing more is expected
    Over,
}

/// The channel to the server.
#[derive(Debug, Clone, Default)]
pub struct Channel {
    /// the server's certificate as we see it; None without TLS
    pub end_point: Option<EndPoint>,
    /// whether nobody reads along: TLS, loopback or a Unix socket
    pub is_private: bool,
}

/// A login to the server under way.
#[derive(Debug)]
pub struct Handshake {
    stage: Stage,
    user: UserName,
    channel: Channel,
    greeting: Greeting,
    frames: usize,
}

impl Handshake {
    /// A login whose startup packet is on its way.
    pub fn new(user: UserName, credential: Credential, channel: Channel) -> Self {
        Self {
            stage: Stage::Begun(credential),
            user,
            channel,
            greeting: Greeting::default(),
            frames: 0,
        }
    }

    /// Takes one whole frame of the server, appends what is to be sent to `out`, and answers the greeting once the
    /// server is ready.
    ///
    /// # Errors
    /// [`UpstreamFault`]; the connection must then be closed.
    pub fn frame(
        &mut self,
        frame: &[u8],
        out: &mut BytesMut,
    ) -> Result<Option<Greeting>, UpstreamFault> {
        self.frames += 1;
        let (Some(&tag), Some(body)) = (frame.first(), frame.get(5..)) else {
            return Err(UpstreamFault::Protocol);
        };
        if self.frames > UPSTREAM_LOGIN_FRAMES_MAX {
            return Err(UpstreamFault::Protocol);
        }
        let admitted = matches!(self.stage, Stage::Admitted);
        match (tag, admitted) {
            (b'E', _) => {
                upstream::Report::read(body)?;
                return Err(UpstreamFault::Refused(Bytes::copy_from_slice(frame)));
            }
            (b'R', false) => self.authentication(Authentication::read(body)?, out)?,
            (b'N', _) => {
                upstream::Report::read(body)?;
                self.greeting.frames.extend_from_slice(frame);
            }
            (b'S', true) => {
                let (name, value) = upstream::parameter_status(body)?;
                let parameter = (name.to_vec(), value.to_vec());
                self.greeting.parameters.push(parameter);
                self.greeting.frames.extend_from_slice(frame);
            }
            (b'K', true) => {
                let (process, secret) = upstream::backend_key_data(body)?;
                self.greeting.key = Some(CancelKey::new(process, secret.to_vec()));
            }
            (b'Z', true) => {
                self.greeting.status = upstream::ready_for_query(body)?;
                self.stage = Stage::Over;
                return Ok(Some(std::mem::take(&mut self.greeting)));
            }
            _ => return Err(UpstreamFault::Protocol),
        }
        Ok(None)
    }

    fn authentication(
        &mut self,
        message: Authentication<'_>,
        out: &mut BytesMut,
    ) -> Result<(), UpstreamFault> {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        self.stage = match (stage, message) {
            (Stage::Begun(Credential::Claimed(_)), Authentication::Ok) => {
                return Err(UpstreamFault::Unchecked);
            }
            (Stage::Begun(_) | Stage::Answered | Stage::Proven, Authentication::Ok) => {
                Stage::Admitted
            }
            (Stage::Begun(credential), question) => self.answer(credential, question, out)?,
            (Stage::First(exchange, credential), Authentication::SaslContinue(data)) => {
                let answered = exchange.respond(data, |salt, i| credential.keys(salt, i));
                let (last, message) = answered.map_err(UpstreamFault::Scram)?;
                authentication::put_sasl_response(out, message.expose().as_bytes())?;
                Stage::Final(last)
            }
            (Stage::Final(last), Authentication::SaslFinal(data)) => {
                last.verify(data).map_err(UpstreamFault::Scram)?;
                Stage::Proven
            }
            _ => return Err(UpstreamFault::Protocol),
        };
        Ok(())
    }

    /// Answers the server's question for a password.
    fn answer(
        &mut self,
        credential: Credential,
        question: Authentication<'_>,
        out: &mut BytesMut,
    ) -> Result<Stage, UpstreamFault> {
        match question {
            Authentication::Sasl(offered) => {
                let offers = |mechanism: Mechanism| offered.contains(&mechanism.name().as_bytes());
                if !offers(Mechanism::Unbound) {
                    return Err(UpstreamFault::Method("SASL, without SCRAM-SHA-256"));
                }
                if !credential.serves_scram() {
                    return Err(match credential {
                        Credential::Md5(_) => UpstreamFault::Md5Only,
                        _ => UpstreamFault::Method("scram-sha-256, without a key for it"),
                    });
                }
                let end_point = self.channel.end_point.take();
                let binding = Binding::choose(offers(Mechanism::Plus), end_point);
                let mechanism = binding.mechanism().name();
                let (exchange, first) = ClientExchange::begin(binding);
                authentication::put_sasl_initial_response(out, mechanism, first.as_bytes())?;
                Ok(Stage::First(exchange, credential))
            }
            Authentication::Md5(salt) => {
                let answer = credential.md5(&self.user, salt);
                let answer = answer.ok_or(UpstreamFault::Method("md5"))?;
                authentication::put_password(out, answer.expose().as_bytes())?;
                Ok(Stage::Answered)
            }
            Authentication::Cleartext => match credential {
                Credential::Claimed(password) if self.channel.is_private => {
                    authentication::put_password(out, password.expose().as_bytes())?;
                    Ok(Stage::Answered)
                }
                _ => Err(UpstreamFault::Method("password (clear text)")),
            },
            Authentication::Other(code) => {
                Err(UpstreamFault::Method(authentication::method_name(code)))
            }
            Authentication::Ok | Authentication::SaslContinue(_) | Authentication::SaslFinal(_) => {
                Err(UpstreamFault::Protocol)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::wire::md5::Md5Hash;
    use crate::wire::scram::{ClientKeys, ServerExchange, Verifier};

    fn run(handshake: &mut Handshake, frame: &[u8]) -> Result<Option<Greeting>, UpstreamFault> {
        handshake.frame(frame, &mut BytesMut::new())
    }

    fn keys() -> ClientKeys {
        ClientKeys::of_password(&Secret::new("pencil".to_owned()), b"salt", 1)
    }

    fn new(credential: Credential) -> Handshake {
        Handshake::new(UserName::new("anna"), credential, Channel::default())
    }

    fn with_keys(end_point: Option<EndPoint>) -> Handshake {
        let channel = Channel {
            end_point,
            is_private: false,
        };
        Handshake::new(UserName::new("anna"), Credential::Keys(keys()), channel)
    }

    const OK: &[u8] = &authentication::AUTHENTICATION_OK;
    const READY: &[u8] = b"Z\0\0\0\x05I";

    /// A login by SCRAM up to SASLFinal, which is `tampered`.
    fn scram_login(tamper: fn(&mut Vec<u8>)) -> Result<Handshake, UpstreamFault> {
        let verifier = Verifier::of_password(&Secret::new("pencil".to_owned()), b"salt", 1);
        let mut handshake = with_keys(None);
        let (mut asked, mut sent) = (BytesMut::new(), BytesMut::new());
        authentication::put_sasl(&mut asked, &["SCRAM-SHA-256"]).unwrap();
        handshake.frame(&asked, &mut sent)?;
        let (_, first) = authentication::sasl_initial_response(&sent[5..]).unwrap();
        let (server, server_first) =
            ServerExchange::begin(Mechanism::Unbound, first.unwrap(), verifier, None).unwrap();
        let (mut asked, mut sent) = (BytesMut::new(), BytesMut::new());
        authentication::put_sasl_continue(&mut asked, server_first.as_bytes()).unwrap();
        handshake.frame(&asked, &mut sent)?;
        let (_, server_final) = server.finish(&sent[5..]).unwrap();
        let mut server_final = server_final.into_bytes();
        tamper(&mut server_final);
        let mut asked = BytesMut::new();
        authentication::put_sasl_final(&mut asked, &server_final).unwrap();
        handshake.frame(&asked, &mut BytesMut::new())?;
        Ok(handshake)
    }

    #[test]
    fn a_server_with_the_verifier_lets_in() {
        let mut handshake = scram_login(|_| ()).unwrap();
        assert!(run(&mut handshake, OK).unwrap().is_none());
        run(&mut handshake, b"S\0\0\0\x0aTZ\0UTC").unwrap_err();
        let mut handshake = scram_login(|_| ()).unwrap();
        run(&mut handshake, OK).unwrap();
        run(&mut handshake, b"S\0\0\0\x0bTZ\0UTC\0").unwrap();
        run(&mut handshake, b"K\0\0\0\x0c\0\0\0\x07\x01\x02\x03\x04").unwrap();
        let greeting = run(&mut handshake, READY).unwrap().unwrap();
        assert_eq!(greeting.parameter("TZ"), Some("UTC"));
        assert_eq!(&greeting.frames[..], b"S\0\0\0\x0bTZ\0UTC\0");
        assert_eq!(greeting.key.unwrap().process, 7);
        assert_eq!(greeting.status, b'I');
    }

    #[test]
    fn the_channel_is_bound_where_the_server_offers_it_and_an_offer_taken_away_is_told() {
        let made = rcgen::generate_simple_self_signed(["db".to_owned()]).unwrap();
        let seen = EndPoint::of_certificate(made.cert.der());
        let (plus, unbound) = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256");
        for (offered, seen, mechanism, flag) in [
            (
                &[plus, unbound][..],
                seen.clone(),
                plus,
                "p=tls-server-end-point,,",
            ),
            (&[unbound], seen, unbound, "y,,"),
            (&[plus, unbound], None, unbound, "n,,"),
            (&[unbound], None, unbound, "n,,"),
        ] {
            let mut handshake = with_keys(seen);
            let (mut asked, mut sent) = (BytesMut::new(), BytesMut::new());
            authentication::put_sasl(&mut asked, offered).unwrap();
            handshake.frame(&asked, &mut sent).unwrap();
            let (named, first) = authentication::sasl_initial_response(&sent[5..]).unwrap();
            assert_eq!(named, mechanism.as_bytes());
            assert!(first.unwrap().starts_with(flag.as_bytes()), "{flag}");
        }
    }

    #[test]
    fn d06_a_server_that_cannot_prove_itself_is_refused() {
        let tampered = scram_login(|message| message[5] ^= 1).err();
        assert!(matches!(tampered, Some(UpstreamFault::Scram(_))));
        assert!(scram_login(|message| message.clear()).is_err());
    }

    #[test]
    fn d06_messages_out_of_turn_are_refused() {
        let protocol = |frames: &[&[u8]]| {
            let mut handshake = with_keys(None);
            let mut last = Ok(None);
            for frame in frames {
                last = run(&mut handshake, frame);
            }
            assert!(matches!(last, Err(UpstreamFault::Protocol)), "{frames:?}");
        };
        let mut sasl = BytesMut::new();
        authentication::put_sasl(&mut sasl, &["SCRAM-SHA-256"]).unwrap();
        let sasl: &[u8] = &sasl;
        protocol(&[READY]);
        protocol(&[b"S\0\0\0\x0bTZ\0UTC\0"]);
        protocol(&[sasl, OK]);
        protocol(&[sasl, sasl]);
        protocol(&[b"R\0\0\0\x08\0\0\0\x0b"]);
        protocol(&[b"R\0\0\0\x08\0\0\0\x0c"]);
        protocol(&[OK, OK]);
        protocol(&[OK, b"D\0\0\0\x04"]);
        protocol(&[OK, READY, READY]);
        protocol(&[OK, b"K\0\0\0\x04"]);
        protocol(&[b"R"]);
        protocol(&[b"E\0\0\0\x05x"]);
    }

    #[test]
    fn d06_a_server_that_never_gets_ready_is_cut_off() {
        let mut handshake = new(Credential::Nothing);
        run(&mut handshake, OK).unwrap();
        let mut last = Ok(None);
        for _ in 0..UPSTREAM_LOGIN_FRAMES_MAX {
            last = run(&mut handshake, b"S\0\0\0\x0bTZ\0UTC\0");
        }
        assert!(matches!(last, Err(UpstreamFault::Protocol)));
    }

    #[test]
    fn other_methods_are_named_and_refusals_kept_verbatim() {
        let fault = run(&mut with_keys(None), b"R\0\0\0\x0c\0\0\0\x05salt").unwrap_err();
        assert_eq!(fault, UpstreamFault::Method("md5"));
        let fault = run(&mut new(Credential::Nothing), b"R\0\0\0\x0a\0\0\0\x0aA\0\0").err();
        assert!(fault.is_some());
        let refusal = b"E\0\0\0\x0cC3D000\0\0";
        let fault = run(&mut new(Credential::Nothing), refusal).unwrap_err();
        assert_eq!(fault, UpstreamFault::Refused(Bytes::from_static(refusal)));
    }

    const MD5: &[u8] = b"R\0\0\0\x0c\0\0\0\x05salt";
    const CLEAR: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
    const SASL: &[u8] = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";

    #[test]
    fn each_credential_answers_what_it_can_and_no_password_leaves_without_need() {
        let password = || Secret::new("pencil".to_owned());
        let hash = || Md5Hash::of_password(&password(), &UserName::new("anna"));
        let answered = |credential: Credential, is_private, question: &[u8]| {
            let channel = Channel {
                end_point: None,
                is_private,
            };
            let mut handshake = Handshake::new(UserName::new("anna"), credential, channel);
            let mut out = BytesMut::new();
            let taken = handshake.frame(question, &mut out).map(|_| ());
            (taken, out)
        };
        for credential in [
            Credential::Md5(hash()),
            Credential::Password(password()),
            Credential::Claimed(password()),
        ] {
            let (taken, out) = answered(credential, false, MD5);
            let answer = authentication::password(&out[5..]).unwrap();
            assert!(taken.is_ok() && hash().is_answered(*b"salt", answer));
        }
        let (taken, out) = answered(Credential::Claimed(password()), true, CLEAR);
        assert!(taken.is_ok() && &out[5..] == b"pencil\0");
        for (credential, is_private, question) in [
            (Credential::Claimed(password()), false, CLEAR),
            (Credential::Password(password()), true, CLEAR),
            (Credential::Md5(hash()), true, CLEAR),
            (Credential::Keys(keys()), true, MD5),
            (Credential::Nothing, true, MD5),
            (Credential::Nothing, true, SASL),
        ] {
            let (taken, out) = answered(credential, is_private, question);
            assert!(matches!(taken, Err(UpstreamFault::Method(_))));
            assert!(out.is_empty());
        }
        let (taken, _) = answered(Credential::Md5(hash()), true, SASL);
        assert_eq!(taken, Err(UpstreamFault::Md5Only));
        let (taken, _) = answered(Credential::Claimed(password()), true, OK);
        assert_eq!(
            taken,
            Err(UpstreamFault::Unchecked),
            "nobody has checked it"
        );
        let (taken, _) = answered(Credential::Password(password()), true, OK);
        assert_eq!(taken, Ok(()));
    }

    #[test]
    fn d06_a_server_cannot_have_keys_derived_without_end() {
        let mut handshake = new(Credential::Password(Secret::new("pencil".to_owned())));
        let mut out = BytesMut::new();
        handshake.frame(SASL, &mut out).unwrap();
        let (_, first) = authentication::sasl_initial_response(&out[5..]).unwrap();
        let nonce = String::from_utf8_lossy(first.unwrap())
            .split("r=")
            .nth(1)
            .unwrap()
            .to_owned();
        let mut asked = BytesMut::new();
        let server_first = format!("r={nonce}x,s=AAAA,i=90000000");
        authentication::put_sasl_continue(&mut asked, server_first.as_bytes()).unwrap();
        let fault = run(&mut handshake, &asked).unwrap_err();
        assert_eq!(fault, UpstreamFault::Scram(ScramFault::ServerMessage));
    }
}
