//! Conversations: what must come back, in what order, and what must never leave.

use super::*;

#[test]
fn an_untouched_query_passes_byte_for_byte() {
    let mut bench = Bench::new();
    let received = bench.run(&q("rows 3"));
    assert_eq!(tags(&received), "TDDDCZ");
    assert_eq!(bench.sent_upstream, q("rows 3"));
    assert_eq!(bench.endings(), [Ending::Done]);
}

#[test]
fn a_touched_query_is_rewritten_and_its_rows_opened() {
    let mut bench = Bench::new();
    let received = bench.run(&q("rows 1; touched 2; rows 1"));
    assert_eq!(tags(&received), "TDCTDDCTDCZ");
    let mut plain = Fake::plain();
    assert_eq!(received, plain.feed(&q("rows 1; touched 2; rows 1")));
    assert!(matches!(bench.events[0], Event::Begin(_)));
    assert_eq!(bench.endings(), [Ending::Done; 3]);
}

#[test]
fn a_session_that_waits_for_its_client_needs_no_buffer() {
    let mut bench = Bench::new();
    bench.client(&q("touched 2"));
    assert!(bench.session.idle_buffers().is_none());
    bench.settle(usize::MAX);
    assert!(bench.session.scratch.capacity() > 0);
    let buffers = bench.session.idle_buffers();
    assert!(buffers.is_some_and(|buffers| buffers.iter().all(|buffer| buffer.is_empty())));
}

#[test]
fn a_describe_is_added_where_the_client_omits_it() {
    let mut bench = Bench::new();
    let script = [p("", "touched 2"), b("", "", &[]), e("", 0), SYNC.to_vec()].concat();
    assert_eq!(tags(&bench.run(&script)), "12DDCZ");
    assert_eq!(tags_sent(&bench), "PBDES");
    let script = [p("s", "touched 2"), target(b'D', b'S', "s"), SYNC.to_vec()].concat();
    bench.sent_upstream.clear();
    assert_eq!(tags(&bench.run(&script)), "1tTZ");
    let script = [b("", "s", &[]), e("", 0), SYNC.to_vec()].concat();
    assert_eq!(tags(&bench.run(&script)), "2DDCZ");
    assert_eq!(tags_sent(&bench), "PDSBES");
}

fn tags_sent(bench: &Bench) -> String {
    let mut bytes = &bench.sent_upstream[..];
    let mut found = String::new();
    while let Some(head) = head(bytes, Sender::Client).unwrap() {
        found.push(char::from(head.tag));
        bytes = &bytes[head.frame_bytes..];
    }
    found
}

#[test]
fn a_parameter_is_filled_and_never_leaves_plain() {
    let mut bench = Bench::new();
    let script = [
        p("", "take $1"),
        b("", "", &["secret"]),
        e("", 0),
        SYNC.to_vec(),
    ]
    .concat();
    assert_eq!(tags(&bench.run(&script)), "12CZ");
    assert_eq!(bench.fake.values, [b"SECRET".to_vec()]);
    assert!(!bench.sent_upstream.windows(6).any(|w| w == b"secret"));
}

#[test]
fn a_refusal_fails_in_place_and_the_rest_of_the_pipeline_is_skipped() {
    let mut bench = Bench::new();
    let script = [
        p("", "rows 1"),
        b("", "", &[]),
        e("", 0),
        p("a", "refused"),
        b("", "a", &["secret"]),
        e("", 0),
        SYNC.to_vec(),
        q("rows 1"),
        q("refused"),
    ];
    let received = bench.run(&script.concat());
    assert_eq!(tags(&received), "12DCEZTDCZEZ");
    assert_eq!(
        errors(&received),
        ["ERROR 42601 refused", "ERROR 42601 refused"]
    );
    assert!(bench.fake.texts.iter().all(|t| !t.starts_with("refused")));
    // The text between is a plain untouched Execute, of a name that the failed Parse never made.
    assert!(bench.endings().contains(&Ending::Refused));
}

#[test]
fn s05_a_plan_that_changed_since_parse_is_refused_at_bind() {
    let mut bench = Bench::new();
    bench.run(&[p("s", "touched 1"), SYNC.to_vec()].concat());
    let same = Stub {
        version: 2,
        plan: true,
    };
    bench.session.renew(Arc::new(same));
    let script = [b("", "s", &[]), e("", 0), SYNC.to_vec()].concat();
    assert_eq!(tags(&bench.run(&script)), "2DCZ");
    let other = Stub {
        version: 3,
        plan: false,
    };
    bench.session.renew(Arc::new(other));
    let received = bench.run(&script);
    assert_eq!(tags(&received), "EZ");
    assert!(errors(&received)[0].starts_with("ERROR 0A000 cached plan"));
}

#[test]
fn the_net_stops_a_treated_column_that_no_plan_expects() {
    for script in [
        q("sealed 2"),
        [
            p("", "sealed 2"),
            b("", "", &[]),
            target(b'D', b'P', ""),
            e("", 0),
            SYNC.to_vec(),
        ]
        .concat(),
        [p("", "sealed 2"), target(b'D', b'S', ""), SYNC.to_vec()].concat(),
    ] {
        let mut bench = Bench::new();
        let received = bench.run(&script);
        assert!(errors(&received)[0].starts_with("FATAL XX000"));
        assert!(!tags(&received).contains('D') && !tags(&received).contains('T'));
        assert_eq!(bench.session.end(), Some(End::Stopped));
    }
}

#[test]
fn a_name_is_not_taken_for_what_a_failed_pipeline_meant_it_to_be() {
    let mut bench = Bench::new();
    bench.run(&[p("s", "touched 1"), SYNC.to_vec()].concat());
    // The second Parse of `s` fails; the Bind behind the next Sync meets the first one.
    let script = [
        p("s", "rows 1"),
        SYNC.to_vec(),
        b("", "s", &[]),
        e("", 0),
        SYNC.to_vec(),
    ];
    let received = bench.run(&script.concat());
    assert_eq!(tags(&received), "EZ2DCZ");
    assert!(received.windows(6).any(|w| w == b"value0"));
}

#[test]
fn s03_a_sensitive_text_waits_for_the_setting_or_is_refused() {
    let mut bench = Bench::new();
    // The report says that strings are read the other way, so the second text is touched.
    let received = bench.run(&[q("off"), q("rows 1 \\")].concat());
    assert_eq!(tags(&received), "CSZTDCZ");
    assert!(matches!(bench.events[1], Event::Begin(_)));
    // In one pipeline no report can come in between.
    let mut bench = Bench::new();
    let script = [
        p("", "off"),
        b("", "", &[]),
        e("", 0),
        p("", "rows 1 \\"),
        SYNC.to_vec(),
    ];
    let received = bench.run(&script.concat());
    assert_eq!(tags(&received), "12CESZ");
    assert!(errors(&received)[0].starts_with("ERROR 0A000"));
}

#[test]
fn s06_a_function_call_is_refused_in_order() {
    let mut bench = Bench::new();
    let received = bench.run(&[q("rows 1"), frame(b'F', &[0; 10]), q("rows 1")].concat());
    assert_eq!(tags(&received), "TDCZEZTDCZ");
    assert!(errors(&received)[0].starts_with("ERROR 0A000"));
    let mut bench = Bench::new();
    let received = bench.run(b"y\0\0\0\x04");
    assert!(errors(&received)[0].starts_with("FATAL 08P01"));
}

#[test]
fn copy_data_waits_for_the_server_to_take_it() {
    let data = [frame(b'd', b"secret\n"), frame(b'c', b"")].concat();
    let mut bench = Bench::new();
    let received = bench.run(&[q("copyin"), data.clone(), q("rows 1")].concat());
    assert_eq!(tags(&received), "GCZTDCZ");
    let sync = SYNC.to_vec();
    let script = [
        p("", "copyin"),
        b("", "", &[]),
        e("", 0),
        sync.clone(),
        data.clone(),
        sync,
    ];
    let mut bench = Bench::new();
    assert_eq!(tags(&bench.run(&script.concat())), "12GCZ");
    // A refused COPY takes none of it.
    let mut bench = Bench::new();
    let received = bench.run(&[q("refused copyin"), data, q("rows 1")].concat());
    assert_eq!(tags(&received), "EZTDCZ");
    assert!(!bench.sent_upstream.windows(6).any(|w| w == b"secret"));
}

#[test]
fn d06_a_server_that_breaks_the_protocol_ends_the_session() {
    for bytes in [
        frame(b'Z', b"I"),
        frame(b'D', &[0, 0]),
        frame(b'1', b""),
        frame(b'T', &[0, 9]),
        b"Z\xff\xff\xff\xff".to_vec(),
        b"?".to_vec(),
    ] {
        let mut bench = Bench::new();
        let mut input = BytesMut::from(&bytes[..]);
        bench.session.upstream(&mut input, Instant::now());
        bench.take();
        assert!(errors(&bench.received)[0].starts_with("FATAL 08P01"));
    }
    let mut bench = Bench::new();
    bench.client(&q("rows 1"));
    let mut input = BytesMut::from(&frame(b'Z', b"X")[..]);
    bench.session.upstream(&mut input, Instant::now());
    bench.take();
    assert_eq!(errors(&bench.received).len(), 1);
    assert_eq!(bench.endings(), [Ending::Stopped]);
}

#[test]
fn large_rows_pass_before_they_are_complete() {
    let mut bench = Bench::new();
    bench.client(&q("rows 1"));
    let row = frame(b'D', &vec![7; 100_000]);
    let mut input = BytesMut::from(&row[..50_000]);
    bench.session.upstream(&mut input, Instant::now());
    assert!(input.is_empty());
    input.extend_from_slice(&row[50_000..]);
    bench.session.upstream(&mut input, Instant::now());
    bench.take();
    assert_eq!(bench.received, row);
}

#[test]
fn p14_what_a_transaction_did_before_may_not_speak_when_it_ends() {
    let mut bench = Bench::new();
    bench.fake.in_transaction = true;
    let received = bench.run(&q("commit"));
    assert!(
        received.windows(6).any(|w| w == b"secret"),
        "nothing treated was met"
    );
    bench.run(&[p("", "take $1"), b("", "", &["x"]), e("", 0), SYNC.to_vec()].concat());
    let received = bench.run(&q("commit"));
    assert!(errors(&received)[0].starts_with("ERROR 23505 duplicate key"));
    assert!(!received.windows(6).any(|w| w == b"secret"));
    bench.fake.in_transaction = false;
    bench.run(&q("rows 1"));
    let received = bench.run(&q("commit"));
    assert!(
        received.windows(6).any(|w| w == b"secret"),
        "another transaction"
    );
}

/// One message of a random client.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let text = prop::sample::select(vec![
        "rows 0",
        "rows 3",
        "touched 2",
        "touched 5",
        "fail",
        "late",
        "copyout",
        "refused",
        "",
        "take $1",
        "off",
    ]);
    let name = prop::sample::select(vec!["", "a", "b"]);
    prop_oneof![
        3 => (text.clone()).prop_map(q),
        1 => (text.clone(), text.clone()).prop_map(|(a, b)| q(&format!("{a}; {b}"))),
        4 => (name.clone(), text).prop_map(|(n, t)| p(n, t)),
        4 => (name.clone(), name.clone()).prop_map(|(a, n)| b(a, n, &["secret"])),
        2 => (name.clone(), prop::bool::ANY).prop_map(|(n, s)| target(b'D', if s { b'S' } else { b'P' }, n)),
        4 => (name.clone(), 0i32..4).prop_map(|(n, rows)| e(n, rows)),
        1 => (name, prop::bool::ANY).prop_map(|(n, s)| target(b'C', if s { b'S' } else { b'P' }, n)),
        1 => Just(FLUSH.to_vec()),
        5 => Just(SYNC.to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A client sees through pgveil what a database without seals would say, however it pipelines and however the
    /// bytes arrive; no value leaves plain.
    #[test]
    fn a_client_cannot_tell_pgveil_from_a_plain_database(
        messages in prop::collection::vec(message(), 1..30),
        chunks in prop::collection::vec(1usize..200, 1..8),
        wait in 0usize..4,
    ) {
        let script = [messages.concat(), SYNC.to_vec()].concat();
        let mut plain = Fake::plain();
        let expected = plain.feed(&script);
        let mut bench = Bench::new();
        let (mut at, mut turn, mut input) = (0, 0, BytesMut::new());
        while at < script.len() {
            let n = chunks[turn % chunks.len()].min(script.len() - at);
            bench.client(&script[at..at + n]);
            at += n;
            turn += 1;
            if wait == 0 || turn % wait == 0 {
                bench.server(chunks[turn % chunks.len()], &mut input);
            }
        }
        while bench.server(usize::MAX, &mut input) {}
        prop_assert_eq!(tags(&bench.received), tags(&expected));
        prop_assert_eq!(&bench.received[..], &expected[..]);
        prop_assert!(bench.session.end().is_none() && bench.session.is_idle());
        let touched_plain = bench.fake.texts.iter().any(|t| t.contains("touched") || t.contains("refused "));
        prop_assert!(!touched_plain || bench.fake.texts.iter().all(|t| !t.contains("touched")));
    }

    #[test]
    fn any_bytes_leave_the_session_standing_or_ended(
        client in prop::collection::vec(any::<u8>(), 0..200),
        upstream in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bench = Bench::new();
        bench.client(&client);
        let mut input = BytesMut::from(&upstream[..]);
        bench.session.upstream(&mut input, Instant::now());
        bench.session.abandon(Ending::Lost, Instant::now());
    }
}
