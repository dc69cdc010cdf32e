//! SORT and THREAD.

use super::super::{
    Envelope, Forest, Ranks, SortKey, ThreadIds, Threadable, base_subject, fold, sent_date, sort,
    thread_orderedsubject, thread_references,
};

fn text(forest: &Forest) -> String {
    let mut text = Vec::new();
    forest.text(&mut text);
    String::from_utf8(text).unwrap()
}

/// `subject | own id | references`, one message a line; dates rise by line unless a line begins with `@seconds`.
fn check(messages: &str, by_references: &str, by_subject: &str) {
    let lines: Vec<Vec<&str>> =
        messages.lines().map(|line| line.trim().split('|').map(str::trim).collect::<Vec<_>>()).collect();
    let bases: Vec<_> = lines.iter().map(|line| base_subject(line[0])).collect();
    let folded: Vec<String> = bases.iter().map(|base| fold(&base.text)).collect();
    let subjects = Ranks::default().add(&folded).numbers;
    let mut ids = ThreadIds::default();
    let all: Vec<Threadable> = lines
        .iter()
        .enumerate()
        .map(|(index, line)| Threadable {
            id: index as u32 + 1,
            sent: line.get(3).map_or(index as i64, |date| date.parse().unwrap()),
            subject: Some(subjects[index]).filter(|_| !folded[index].is_empty()),
            is_reply: bases[index].is_reply,
            message_id: Some(line[1]).filter(|id| !id.is_empty()).map(|id| ids.number(id.as_bytes())),
            references: line[2].split_whitespace().map(|id| ids.number(id.as_bytes())).collect(),
        })
        .collect();
    assert_eq!(text(&thread_references(&all)), by_references, "{messages}");
    assert_eq!(text(&thread_orderedsubject(&all)), by_subject, "{messages}");
}

#[test]
fn threads_are_those_of_the_rfc() {
    check("a|1|\nRe: a|2|1\nRe: a|3|1 2\nb|4|", "(1 2 3)(4)", "(1 (2)(3))(4)");
    check("a|1|\nx|2|1\ny|3|1", "(1 (2)(3))", "(1)(2)(3)");
    // An ancestor that is not there: its children are siblings without a parent.
    check("x|2|1\ny|3|1", "((1)(2))", "(1)(2)");
    check("x|3|1 2\ny|4|1", "((1)(2))", "(1)(2)");
    check("x|3|1 2", "(1)", "(1)");
    // A dummy in the middle gives its children to its parent.
    check("a|1|\nx|3|1 2\ny|4|1 2", "(1 (2)(3))", "(1)(2)(3)");
    // Subjects join what references do not.
    check("a|1|\nRe: a|2|", "(1 2)", "(1 2)");
    check("Re: a|1|\na|2|", "(2 1)", "(1 2)");
    check("a|1|\nA|2|", "((1)(2))", "(1 2)");
    check("Re: a|1|\nRe: a|2|", "((1)(2))", "(1 2)");
    check("Re: a|1|0\nRe: a|2|0\na|3|", "((1)(2)(3))", "(1 (2)(3))");
    check("|1|\n|2|", "(1)(2)", "(1 2)");
    // Loops, copies and messages without ids.
    check("a|1|2\nb|2|1", "(2 1)", "(1)(2)");
    check("a|1|1\nb|2|1 2 1", "(1 2)", "(1)(2)");
    check("a|1|\nb|1|\nc||1", "(1 3)(2)", "(1)(2)(3)");
    // By date, not by number.
    check("a|1||9\nb|2||5\nRe: b|4|2|8\nRe: b|3|2|7", "(2 (4)(3))(1)", "(2 (4)(3))(1)");
}

#[test]
fn long_threads_take_no_stack_and_little_time() {
    let count = 10_000_u32;
    let message = |n: u32, parents: Vec<u32>| Threadable {
        id: n + 1,
        sent: i64::from(n),
        subject: Some(0),
        is_reply: n > 0,
        message_id: Some(n),
        references: parents,
    };
    let chain: Vec<_> = (0..count).map(|n| message(n, n.checked_sub(1).into_iter().collect())).collect();
    let started = std::time::Instant::now();
    let forward = text(&thread_references(&chain));
    let reverse: Vec<_> = chain.iter().rev().cloned().collect();
    let backward = text(&thread_references(&reverse));
    let even: Vec<_> = chain.iter().step_by(2).cloned().collect();
    thread_references(&even);
    thread_orderedsubject(&chain);
    // A bound for a slow build on a busy machine: a quadratic or worse algorithm takes minutes.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    assert!(forward.starts_with("(1 2 3 4 ") && forward.ends_with(" 10000)"));
    assert_eq!(forward, backward);
}

#[test]
fn keys_sort_as_the_rfcs_say() {
    let headers = [
        "From: Zoe <a@x.test>\r\nTo: c@x.test\r\nSubject: Re: b\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\n",
        "From: \"adam\" <B@x.test>\r\nTo: =?utf-8?Q?=C3=84nne?= <a@x.test>\r\nSubject: [l] A\r\nDate: Mon, 1 Jan 2024 10:30:00 +0100\r\n",
        "From: c@x.test\r\nCc: q@x.test\r\nSubject: =?utf-8?Q?c?=\r\n",
    ];
    let envelopes: Vec<Envelope> = headers.iter().map(|header| Envelope::read(header.as_bytes())).collect();
    let values = |key: SortKey| -> Vec<i64> {
        let texts: Option<Vec<String>> =
            envelopes.iter().map(|envelope| key.text(envelope).map(|text| text.text)).collect();
        let arrivals = (0..3).map(|n| 1_704_100_000 - n);
        match (key, texts) {
            (_, Some(texts)) => Ranks::default().add(&texts).numbers.into_iter().map(i64::from).collect(),
            (SortKey::Size, None) => (0..3).map(|n| n % 2).collect(),
            (SortKey::Date, None) => {
                let sent = envelopes.iter().map(|envelope| envelope.date.as_deref().and_then(sent_date));
                sent.zip(arrivals).map(|(sent, arrival)| sent.unwrap_or(arrival)).collect()
            }
            (_, None) => arrivals.collect(),
        }
    };
    let order = |criteria: &[(SortKey, bool)]| {
        let criteria: Vec<_> = criteria.iter().map(|&(key, reverse)| (values(key), reverse)).collect();
        sort(3, &criteria).into_iter().map(|index| index + 1).collect::<Vec<_>>()
    };
    use SortKey::{Arrival, Cc, Date, DisplayFrom, DisplayTo, From, Size, Subject, To};
    assert_eq!(order(&[(Arrival, false)]), [3, 2, 1]);
    assert_eq!(order(&[(Date, false)]), [3, 2, 1]);
    assert_eq!(order(&[(From, false)]), [1, 2, 3]);
    assert_eq!(order(&[(DisplayFrom, false)]), [2, 3, 1]);
    assert_eq!(order(&[(To, false)]), [3, 2, 1]);
    assert_eq!(order(&[(DisplayTo, false)]), [3, 1, 2]);
    assert_eq!(order(&[(Cc, true)]), [3, 1, 2]);
    assert_eq!(order(&[(Subject, false)]), [2, 1, 3]);
    assert_eq!(order(&[(Size, true), (Subject, true)]), [2, 3, 1]);
}
