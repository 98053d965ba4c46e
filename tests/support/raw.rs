//! A client made of bytes: logs in with SCRAM-SHA-256 by itself, then sends what it is told and keeps what comes back.
//!
//! Independent of the product's own protocol code on purpose.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// How long an answer may take.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);

/// A connection after its login.
pub struct Raw {
    stream: TcpStream,
    /// name and value of each ParameterStatus of the login, in order
    pub parameters: Vec<(String, String)>,
    /// the body of BackendKeyData
    pub cancel_key: Vec<u8>,
}

/// A message of the client's: its type and body with the length between them.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a short message");
    let mut bytes = vec![kind];
    bytes.extend(length.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A Query message.
pub fn query(text: &str) -> Vec<u8> {
    message(b'Q', &string(text))
}

/// A text with its final zero.
pub fn string(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

impl Raw {
    /// Logs in; panics when that fails.
    pub fn login(port: u16, user: &str, password: &str, database: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream
            .set_read_timeout(Some(ANSWER_WAIT_MAX))
            .expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        let mut raw = Self {
            stream,
            parameters: Vec::new(),
            cancel_key: Vec::new(),
        };
        let mut startup = 196_608_u32.to_be_bytes().to_vec();
        for text in ["user", user, "database", database] {
            startup.extend(string(text));
        }
        startup.push(0);
        let length = u32::try_from(startup.len() + 4).expect("a short message");
        raw.send(&[&length.to_be_bytes(), &startup[..]].concat());
        raw.authenticate(password);
        loop {
            let (kind, body) = raw.frame();
            match kind {
                b'S' => {
                    let mut texts = body
                        .split(|b| *b == 0)
                        .map(|t| String::from_utf8_lossy(t).into_owned());
                    let pair = (
                        texts.next().unwrap_or_default(),
                        texts.next().unwrap_or_default(),
                    );
                    raw.parameters.push(pair);
                }
                b'K' => raw.cancel_key = body,
                b'Z' => return raw,
                _ => panic!(
                    "at login: {} {}",
                    kind as char,
                    String::from_utf8_lossy(&body)
                ),
            }
        }
    }

    /// The stream, where its login is all that is wanted.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677).
    fn authenticate(&mut self, password: &str) {
        let (_, mechanisms) = self.frame();
        assert!(
            mechanisms.starts_with(&10_u32.to_be_bytes()),
            "SASL is asked for"
        );
        let first_bare = "n=,r=raw-client-nonce";
        let first = format!("n,,{first_bare}");
        let length = u32::try_from(first.len()).expect("a short message");
        let body = [
            &string("SCRAM-SHA-256")[..],
            &length.to_be_bytes(),
            first.as_bytes(),
        ]
        .concat();
        self.send(&message(b'p', &body));
        let (_, server_first) = self.frame();
        let server_first = String::from_utf8(server_first[4..].to_vec()).expect("text");
        let field = |name: &str| {
            let found = server_first.split(',').find_map(|f| f.strip_prefix(name));
            found.expect("a field of server-first").to_owned()
        };
        let salt = STANDARD.decode(field("s=")).expect("base64");
        let salted = salted_password(password, &salt, field("i=").parse().expect("a number"));
        let client_key = hmac(&salted, b"Client Key");
        let stored_key: [u8; 32] = Sha256::digest(client_key).into();
        let without_proof = format!("c=biws,r={}", field("r="));
        let signed = format!("{first_bare},{server_first},{without_proof}");
        let signature = hmac(&stored_key, signed.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(signature)
            .map(|(k, s)| k ^ s)
            .collect();
        let last = format!("{without_proof},p={}", STANDARD.encode(proof));
        self.send(&message(b'p', last.as_bytes()));
        let (_, outcome) = self.frame();
        assert!(outcome.starts_with(&12_u32.to_be_bytes()), "SASLFinal");
        let (_, ok) = self.frame();
        assert_eq!(ok, 0_u32.to_be_bytes(), "AuthenticationOk");
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("to send");
    }

    /// The next frame: its type and body.
    pub fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).expect("an answer");
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).expect("an answer");
        (head[0], body)
    }

    /// Frames up to and with the `count`-th of this type.
    pub fn until(&mut self, kind: u8, count: usize) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        let mut seen = 0;
        while seen < count {
            let frame = self.frame();
            seen += usize::from(frame.0 == kind);
            frames.push(frame);
        }
        frames
    }

    /// Frames up to ReadyForQuery; panics with what was said when the session ends before it.
    pub fn until_ready_or_fatal(&mut self, what: &str) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        loop {
            let frame = self.frame();
            let said = String::from_utf8_lossy(&frame.1).into_owned();
            assert!(
                frame.0 != b'E' || !said.contains("SFATAL"),
                "{what}: the session ends: {said}"
            );
            frames.push(frame);
            if frames.last().is_some_and(|f| f.0 == b'Z') {
                return frames;
            }
        }
    }

    /// Whether the other side has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0) | Err(_))
    }
}

/// Sends a CancelRequest with the body of a BackendKeyData.
pub fn cancel(port: u16, cancel_key: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    let length = u32::try_from(cancel_key.len() + 8).expect("a short message");
    let request = [
        &length.to_be_bytes()[..],
        &80_877_102_u32.to_be_bytes(),
        cancel_key,
    ]
    .concat();
    stream.write_all(&request).expect("to send");
    let _ = stream.read(&mut [0]);
}

fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// `Hi` of RFC 5802, which is PBKDF2 with one block.
fn salted_password(password: &str, salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut step = hmac(password.as_bytes(), &[salt, &1_u32.to_be_bytes()].concat());
    let mut sum = step;
    for _ in 1..iterations {
        step = hmac(password.as_bytes(), &step);
        sum.iter_mut().zip(step).for_each(|(s, b)| *s ^= b);
    }
    sum
}
