//! What the record of a statement says beside its ending: times, parameters, shape.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::*;
use crate::session::{BoundParameter, StatementEnd};

fn at(start: Instant, ms: u64) -> Instant {
    start + Duration::from_millis(ms)
}

/// The client's bytes arrive at 0 ms, are handed over at 10 ms, and each answer comes when it is said to.
fn ends(script: &[u8], answers_ms: &[u64]) -> Vec<StatementEnd> {
    let mut bench = Bench::new();
    let start = Instant::now();
    bench.client.extend_from_slice(script);
    bench.session.client(&mut bench.client, start);
    bench.session.hand_over(at(start, 10));
    let sent = bench.session.to_upstream().split();
    let answers = bench.fake.feed(&sent);
    let (mut input, mut rest) = (BytesMut::new(), &answers[..]);
    for ms in answers_ms {
        // As far as the next end of a statement.
        while let Some(head) = head(rest, Sender::Upstream).unwrap() {
            input.extend_from_slice(&rest[..head.frame_bytes]);
            rest = &rest[head.frame_bytes..];
            if matches!(head.tag, b'C' | b'E' | b's') {
                break;
            }
        }
        bench.session.upstream(&mut input, at(start, *ms));
    }
    input.extend_from_slice(rest);
    bench.session.upstream(&mut input, at(start, 1_000));
    bench.take();
    let ends = bench.events.into_iter().filter_map(|event| match event {
        Event::End(end) => Some(end),
        Event::Begin(_) => None,
    });
    ends.collect()
}

fn ms(time: Option<Duration>) -> Option<u128> {
    time.map(|time| time.as_millis())
}

#[test]
fn the_time_of_a_statement_is_parted_into_ours_and_the_server_s() {
    let [end] = &ends(&q("touched 2"), &[30])[..] else {
        panic!("one statement, one end")
    };
    assert_eq!(end.duration.as_millis(), 30);
    assert_eq!((ms(end.added), ms(end.upstream)), (Some(10), Some(20)));
}

#[test]
fn a_statement_that_waits_for_the_one_before_it_takes_the_server_no_time_meanwhile() {
    let one = |portal| [b(portal, "s", &["x"]), e(portal, 0)].concat();
    let script = [p("s", "take $1"), one("a"), one("b"), SYNC.to_vec()].concat();
    let ends = ends(&script, &[30, 35]);
    let times = ends.iter().map(|end| (ms(end.added), ms(end.upstream)));
    let expected = [(Some(10), Some(20)), (Some(10), Some(5))];
    assert_eq!(times.collect::<Vec<_>>(), expected);
}

#[test]
fn only_the_first_statement_of_a_text_waited_for_pgveil() {
    let ends = ends(&q("rows 1; fail"), &[20, 45]);
    let times = ends.iter().map(|end| (ms(end.added), ms(end.upstream)));
    let expected = [(Some(10), Some(10)), (None, Some(25))];
    assert_eq!(times.collect::<Vec<_>>(), expected);
}

#[test]
fn what_was_refused_took_the_server_nothing() {
    let ends = ends(&q("refused copyin"), &[30]);
    assert_eq!((ms(ends[0].added), ms(ends[0].upstream)), (None, None));
}

#[test]
fn what_the_server_skipped_took_it_nothing() {
    let one = |text, name| [p(name, text), b("", name, &[]), e("", 0)].concat();
    let script = [one("fail", "a"), one("rows 1", "b"), SYNC.to_vec()].concat();
    let ends = ends(&script, &[30]);
    let skipped = ends.iter().find(|end| end.ending == Ending::Skipped);
    let skipped = skipped.expect("the second Execute");
    assert_eq!((ms(skipped.added), ms(skipped.upstream)), (None, None));
}

#[test]
fn a_fault_of_the_commit_ends_no_statement_again() {
    for text in ["touched 1", "touched 1; touched 1"] {
        let mut bench = Bench::new();
        bench.client(&q(text));
        let sent = bench.session.to_upstream().split();
        let mut answers = bench.fake.feed(&sent);
        // A deferred constraint speaks between the last CommandComplete and ReadyForQuery.
        let ready = answers.split_off(answers.len() - 6);
        answers.extend_from_slice(&frame(b'E', b"SERROR\0C23503\0Mlate\0\0"));
        answers.unsplit(ready);
        bench.session.upstream(&mut answers, Instant::now());
        bench.take();
        assert!(errors(&bench.received)[0].starts_with("ERROR 23503"));
        assert!(tags(&bench.received).ends_with("CEZ"));
        assert_eq!(bench.endings().len(), text.matches("touched").count());
    }
}

#[test]
fn parameters_are_told_by_number_and_never_by_value() {
    let script = [p("", "take $1"), b("", "", &["x"]), e("", 0), SYNC.to_vec()].concat();
    let ends = ends(&script, &[30]);
    let parameters: Vec<BoundParameter> = ends[0].subject.parameters().collect();
    let [only] = parameters[..] else {
        panic!("one parameter")
    };
    assert_eq!((only.number, only.treated), (1, true));
    assert!(ends[0].subject.fingerprint().is_some());
}
