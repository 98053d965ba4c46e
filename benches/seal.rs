//! What sealing and opening one value costs, by how its attribute is compared and how long it is:
//! `cargo bench --bench seal`. One thread, keys scheduled before.
//!
//! Of many short runs the shortest counts: whatever else a machine does only adds to the others.

use std::hint::black_box;
use std::time::Instant;

use pgveil::ident::{AttributeId, DomainName};
use pgveil::keyring::{KdfParameters, Passphrase, create_with};
use pgveil::seal::{Binding, Comparison, Sealer};
use pgveil::types::TypeClass;

/// Bytes of the values: a number, an e-mail address, a note, a document.
const LENGTHS: [usize; 4] = [8, 20, 200, 4_000];

/// Values a run has, and runs.
const VALUES: u32 = 64;
const RUNS: u32 = 4_000;

/// Nanoseconds a value, of the shortest run.
fn shortest(mut once: impl FnMut()) -> f64 {
    let mut run = || {
        let began = Instant::now();
        (0..VALUES).for_each(|_| once());
        began.elapsed()
    };
    let least = (0..RUNS).map(|_| run()).min().unwrap_or_default();
    least.as_secs_f64() * 1e9 / f64::from(VALUES)
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let passphrase = Passphrase::new("p").expect("a passphrase");
    let kdf = KdfParameters::new(8, 1, 1).expect("parameters");
    let mut keyring = create_with(&folder.path().join("k"), &passphrase, kdf).expect("a keyring");
    let domain = DomainName::new("d");
    keyring.ensure_domain(&domain).expect("a domain");
    let keys = keyring.domain(&domain).expect("a domain");
    println!("compared  bytes   seal ns   open ns");
    for comparison in [Comparison::Never, Comparison::Bytes, Comparison::Heads] {
        let binding = Binding {
            class: TypeClass::Text,
            element: None,
            attribute: Some(AttributeId(1)),
            comparison,
        };
        let sealer = Sealer::new(keys, binding).expect("a sealer");
        for length in LENGTHS {
            let value = vec![b'v'; length];
            let sealed = sealer.seal(&value).expect("sealed");
            let seal = shortest(|| drop(black_box(sealer.seal(black_box(&value)))));
            let open = shortest(|| drop(black_box(sealer.open(black_box(&sealed)))));
            println!("{comparison:<8?} {length:>6} {seal:>9.0} {open:>9.0}");
        }
    }
}
