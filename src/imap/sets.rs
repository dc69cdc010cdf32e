//! Sequence sets: which messages a command means, by sequence number or by UID (RFC 9051 section 4.1.1).
//!
//! Shape: `1:3,7,10:*`. Ranges are kept as written and never expanded, so `1:4294967295` costs eight octets;
//! [`SequenceSet::ranges`] gives them sorted and merged once the value of `*` is known.
//!
//! Limits: numbers are 1 to 4294967295 (`nz-number`); the number of ranges is bounded by the command's length.

use std::ops::RangeInclusive;

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceNumber {
    /// A number, not zero.
    Number(u32),
    /// `*`: the largest number in use.
    Largest,
}

/// The messages of a command, as ranges in the order written. A single number is a range with equal ends;
/// the ends of a range may be in either order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceSet {
    ranges: Vec<(SequenceNumber, SequenceNumber)>,
}

/// The messages a command names: by numbers, or as the result of an earlier search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageSet {
    /// Written out.
    Numbers(SequenceSet),
    /// `$`: what the last SEARCH with RETURN (SAVE) found (RFC 5182). Empty when there was none.
    SavedResult,
}

impl SequenceNumber {
    /// The number meant when `max` is the largest one in use.
    pub fn resolve(self, max: u32) -> u32 {
        match self {
            Self::Number(number) => number,
            Self::Largest => max,
        }
    }
}

impl SequenceSet {
    /// A set of these ranges, in this order.
    pub fn new(ranges: Vec<(SequenceNumber, SequenceNumber)>) -> Self {
        Self { ranges }
    }

    /// The ranges as they were written.
    pub fn as_written(&self) -> &[(SequenceNumber, SequenceNumber)] {
        &self.ranges
    }

    /// Whether `*` occurs.
    pub fn has_largest(&self) -> bool {
        self.ranges.iter().any(|(a, b)| [a, b].contains(&&SequenceNumber::Largest))
    }

    /// What the set means when `max` is the largest number in use: ascending, disjoint, not touching. Numbers
    /// above `max` stay: for UIDs they name nothing, for sequence numbers they are an error of the client
    /// ([`SequenceSet::largest`]). In an empty mailbox (`max` 0) `*` names nothing, and a range with `*` at one
    /// end keeps its other end.
    pub fn ranges(&self, max: u32) -> Vec<RangeInclusive<u32>> {
        let mut sorted: Vec<(u32, u32)> =
            self.ranges.iter().filter_map(|&range| resolve(range, max)).collect();
        sorted.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        merged.into_iter().map(|(first, last)| first..=last).collect()
    }

    /// The largest number the set names when `max` is the largest one in use.
    pub fn largest(&self, max: u32) -> u32 {
        self.ranges.iter().map(|(a, b)| a.resolve(max).max(b.resolve(max))).max().unwrap_or(0)
    }

    /// Whether `number` is in the set when `max` is the largest one in use.
    pub fn contains(&self, number: u32, max: u32) -> bool {
        number != 0
            && self
                .ranges
                .iter()
                .filter_map(|&range| resolve(range, max))
                .any(|(a, b)| (a..=b).contains(&number))
    }
}

/// Whether a number is in ranges that are ascending and disjoint, as [`SequenceSet::ranges`] gives them.
pub fn is_within(ranges: &[RangeInclusive<u32>], number: u32) -> bool {
    let after = ranges.partition_point(|range| *range.start() <= number);
    after.checked_sub(1).is_some_and(|last| ranges[last].contains(&number))
}

/// Ascending numbers in the shortest form: `1:3,7`. Empty for none, which is no valid set: ask first.
/// Numbers that repeat are written once.
pub fn to_text(ascending: impl IntoIterator<Item = u32>) -> String {
    let mut text = String::new();
    let mut numbers = ascending.into_iter();
    let Some(mut first) = numbers.next() else { return text };
    let mut last = first;
    for number in numbers {
        if number == last || last.checked_add(1) == Some(number) {
            last = number;
            continue;
        }
        push_range(&mut text, first, last);
        (first, last) = (number, number);
    }
    push_range(&mut text, first, last);
    text
}

/// Ranges in the shortest form, as [`to_text`]; they are written in the order given.
pub fn ranges_to_text(ranges: &[RangeInclusive<u32>]) -> String {
    let mut text = String::new();
    for range in ranges {
        push_range(&mut text, *range.start(), *range.end());
    }
    text
}

fn resolve((a, b): (SequenceNumber, SequenceNumber), max: u32) -> Option<(u32, u32)> {
    let (a, b) = (a.resolve(max), b.resolve(max));
    // Zero comes from `*` in an empty mailbox only.
    let (first, last) = if a == 0 {
        (b, b)
    } else if b == 0 {
        (a, a)
    } else {
        (a.min(b), a.max(b))
    };
    (last != 0).then_some((first, last))
}

fn push_range(text: &mut String, first: u32, last: u32) {
    use std::fmt::Write;
    if !text.is_empty() {
        text.push(',');
    }
    // Writing to a String cannot fail.
    let _ = if first == last { write!(text, "{first}") } else { write!(text, "{first}:{last}") };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::SequenceNumber::{Largest, Number};
    use super::*;

    #[track_caller]
    fn check(ranges: &[(SequenceNumber, SequenceNumber)], max: u32, expected: &[RangeInclusive<u32>]) {
        assert_eq!(SequenceSet::new(ranges.to_vec()).ranges(max), expected);
    }

    #[test]
    fn ranges_are_sorted_and_merged() {
        check(&[(Number(3), Number(3))], 10, &[3..=3]);
        check(&[(Number(5), Number(2)), (Number(9), Number(9))], 10, &[2..=5, 9..=9]);
        check(&[(Number(4), Number(5)), (Number(1), Number(3))], 10, &[1..=5]);
        check(&[(Number(1), Number(9)), (Number(2), Number(3))], 10, &[1..=9]);
        check(&[(Number(1), Number(u32::MAX))], 10, &[1..=u32::MAX]);
        check(&[(Number(u32::MAX), Number(u32::MAX)), (Number(1), Largest)], u32::MAX, &[1..=u32::MAX]);
        check(&[(Largest, Largest)], 10, &[10..=10]);
        check(&[(Number(4), Largest)], 10, &[4..=10]);
        // RFC 9051: `559:*` names the largest UID even if that is less than 559.
        check(&[(Number(559), Largest)], 10, &[10..=559]);
        check(&[(Largest, Largest)], 0, &[]);
        check(&[(Number(3), Largest)], 0, &[3..=3]);
        let set = SequenceSet::new(vec![(Number(2), Number(7)), (Number(9), Largest)]);
        assert_eq!((set.largest(20), set.largest(3), set.has_largest()), (20, 9, true));
        assert!(set.contains(7, 8) && set.contains(8, 8) && !set.contains(8, 9) && !set.contains(0, 9));
    }

    #[test]
    fn texts_are_short() {
        for (numbers, text) in [
            (&[][..], ""),
            (&[7], "7"),
            (&[1, 2, 3, 7], "1:3,7"),
            (&[1, 3, 5], "1,3,5"),
            (&[1, 2, 2, 3], "1:3"),
            (&[u32::MAX - 1, u32::MAX], "4294967294:4294967295"),
        ] {
            assert_eq!(to_text(numbers.iter().copied()), text);
        }
        assert_eq!(ranges_to_text(&[1..=3, 7..=7]), "1:3,7");
    }

    proptest! {
        #[test]
        fn ranges_hold_what_was_written(
            pairs in prop::collection::vec((0_u32..30, 0_u32..30), 1..8),
            max in 1_u32..30,
        ) {
            let end = |number| if number == 0 { Largest } else { Number(number) };
            let set = SequenceSet::new(pairs.iter().map(|&(a, b)| (end(a), end(b))).collect());
            let ranges = set.ranges(max);
            prop_assert!(ranges.windows(2).all(|pair| *pair[0].end() + 1 < *pair[1].start()));
            for number in 0..40 {
                let inside = ranges.iter().any(|range| range.contains(&number));
                prop_assert_eq!(inside, set.contains(number, max));
                prop_assert_eq!(inside, is_within(&ranges, number));
            }
            let numbers = ranges.iter().cloned().flatten();
            prop_assert_eq!(to_text(numbers), ranges_to_text(&ranges));
        }
    }
}
