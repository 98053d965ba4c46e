//! The first bytes of a connection: the packet alone, and the login that begins with it.

use bytes::BytesMut;
use pgveil::ident::UserName;
use pgveil::limits::{CANCEL_KEY_BYTES_MAX, STARTUP_BYTES_MAX};
use pgveil::secret::Secret;
use pgveil::session::login::{Challenge, Login, Secured, Step, TlsOffer};
use pgveil::wire::scram::Verifier;
use pgveil::wire::startup::{Opening, SSL_REQUEST_PACKET};

use super::message;

/// What a login may answer to one message: an error text, or a SCRAM message with its base64.
const ANSWER_BYTES_MAX: usize = 4096;

/// The first byte says what TLS is offered and in pieces of which size the rest arrives.
pub fn body(data: &[u8]) {
    let Some((&first, stream)) = data.split_first() else {
        return;
    };
    packet(stream);
    let offer = match first % 3 {
        0 => TlsOffer::None,
        1 => TlsOffer::Offered,
        _ => TlsOffer::Required,
    };
    login(offer, stream, usize::from(first / 3).max(1));
}

fn packet(stream: &[u8]) {
    let Ok(Some((opening, length))) = Opening::read(stream) else {
        return;
    };
    assert!(length <= stream.len() && length <= STARTUP_BYTES_MAX + 4);
    // It needs all of its bytes, and no others.
    assert_eq!(Opening::read(&stream[..length - 1]), Ok(None));
    let alone = Opening::read(&stream[..length]);
    assert_eq!(alone, Ok(Some((opening.clone(), length))));
    match &opening {
        Opening::Cancel(key) => {
            assert!(key.secret().len() <= CANCEL_KEY_BYTES_MAX);
            assert_eq!(key.to_request(), &stream[..length]);
        }
        Opening::Startup(startup) => {
            let _ = (startup.version(), startup.application());
            let shown = format!("{opening:?}");
            assert!(shown.len() < ANSWER_BYTES_MAX);
        }
        Opening::Ssl | Opening::Gss => {}
    }
}

fn login(offer: TlsOffer, stream: &[u8], size: usize) {
    let mut login = Login::new(offer);
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    for piece in stream.chunks(size) {
        input.extend_from_slice(piece);
        loop {
            let step = login.advance(&mut input, &mut out);
            assert!(out.len() <= ANSWER_BYTES_MAX, "an answer of any length");
            out.clear();
            match step {
                Ok(Step::Read) => break,
                Ok(Step::StartTls) => {
                    let secured = Secured {
                        end_point: None,
                        is_postgresql: size.is_multiple_of(2),
                        certificate: None,
                    };
                    if login.encrypted(secured).is_err() {
                        return;
                    }
                }
                Ok(Step::LookUp(user)) => {
                    let verifier =
                        Verifier::decoy(&Secret::new([7; 32]), &UserName::new(user.as_str()));
                    let challenge = match user.as_str().starts_with('c') {
                        true => Challenge::Cleartext,
                        false => Challenge::Scram(verifier),
                    };
                    if login.challenge(challenge, &mut out).is_err() {
                        return;
                    }
                    out.clear();
                }
                Ok(Step::Cancel(_)) => return,
                Ok(Step::Answered(answered)) => {
                    assert!(!answered.is_proven, "nobody knows a decoy's password");
                    return;
                }
                Err(fault) => {
                    let _ = fault.farewell(login.named());
                    return;
                }
            }
        }
    }
}

fn packet_of(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).expect("a short packet");
    [&length.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

/// Each request, alone and behind each other.
pub fn seeds() -> Vec<Vec<u8>> {
    let start = packet_of(
        196_608,
        b"user\0app\0database\0crm\0application_name\0x\0options\0-c a=b\0\0",
    );
    let newer = packet_of(196_610, b"user\0app\0_pq_.x\0y\0\0");
    let cancel = packet_of(80_877_102, &[0, 0, 0, 9, 1, 2, 3, 4]);
    let gss = packet_of(80_877_104, b"");
    let initial = message(b'p', b"SCRAM-SHA-256\0\0\0\0\x0bn,,n=,r=abc");
    let last = message(b'p', b"c=biws,r=abc,p=AAAA");
    let alone = [&start, &newer, &cancel, &gss].map(|p| p.clone());
    let mut streams: Vec<Vec<u8>> = alone.into();
    streams.push([&SSL_REQUEST_PACKET[..], &start].concat());
    streams.push([&gss[..], &SSL_REQUEST_PACKET, &newer].concat());
    streams.push([&start[..], &initial, &last].concat());
    let firsts = [0_u8, 1, 2, 30, 31];
    let seeds = streams.iter().zip(firsts.iter().cycle());
    seeds
        .map(|(stream, first)| [&[*first][..], stream].concat())
        .collect()
}
