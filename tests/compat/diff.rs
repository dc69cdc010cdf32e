//! Line differences as the tool that compares whole recordings makes them, because the rows of `deviations.jsonl`
//! are matched hunk by hunk: the longest common run first, frequent lines not used as anchors in long texts.

use std::collections::HashMap;
use std::hash::Hash;

/// From this length on, elements that make up more than one percent are no anchors.
const POPULAR_FROM: usize = 200;

/// Lines of context around a change.
const CONTEXT: usize = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Equal,
    Different,
}

type Block = (usize, usize, usize);
type Step = (Change, usize, usize, usize, usize);

/// The label, then every changed place: `-` removed and `+` added lines with one line of context.
pub(crate) fn unified(expected: &[String], actual: &[String], label: &str) -> Vec<String> {
    let mut out = vec![label.to_owned()];
    for group in groups(expected, actual) {
        out.push("@@".to_owned());
        for (change, i1, i2, j1, j2) in group {
            if change == Change::Equal {
                out.extend(expected[i1..i2].iter().map(|line| format!(" {line}")));
                continue;
            }
            out.extend(expected[i1..i2].iter().map(|line| format!("-{line}")));
            out.extend(actual[j1..j2].iter().map(|line| format!("+{line}")));
        }
    }
    out.retain(|line| !line.starts_with("---") && !line.starts_with("+++"));
    out
}

/// How alike two sequences are, from 0 to 1.
pub(crate) fn ratio<T: Eq + Hash>(a: &[T], b: &[T]) -> f64 {
    let length = a.len() + b.len();
    if length == 0 {
        return 1.0;
    }
    let matches: usize = matching_blocks(a, b, false).iter().map(|block| block.2).sum();
    2.0 * matches as f64 / length as f64
}

fn groups(a: &[String], b: &[String]) -> Vec<Vec<Step>> {
    let mut steps = steps(a, b);
    if let Some(first) = steps.first_mut()
        && first.0 == Change::Equal
    {
        (first.1, first.3) =
            (first.1.max(first.2.saturating_sub(CONTEXT)), first.3.max(first.4.saturating_sub(CONTEXT)));
    }
    if let Some(last) = steps.last_mut()
        && last.0 == Change::Equal
    {
        (last.2, last.4) = (last.2.min(last.1 + CONTEXT), last.4.min(last.3 + CONTEXT));
    }
    let (mut groups, mut group) = (Vec::new(), Vec::new());
    for (change, mut i1, i2, mut j1, j2) in steps {
        if change == Change::Equal && i2 - i1 > 2 * CONTEXT {
            group.push((change, i1, i2.min(i1 + CONTEXT), j1, j2.min(j1 + CONTEXT)));
            groups.push(std::mem::take(&mut group));
            (i1, j1) = (i1.max(i2 - CONTEXT), j1.max(j2 - CONTEXT));
        }
        group.push((change, i1, i2, j1, j2));
    }
    if group.iter().any(|step| step.0 == Change::Different) {
        groups.push(group);
    }
    groups.retain(|group| group.iter().any(|step| step.0 == Change::Different));
    groups
}

fn steps(a: &[String], b: &[String]) -> Vec<Step> {
    let (mut i, mut j, mut steps) = (0, 0, Vec::new());
    for (at, bt, size) in matching_blocks(a, b, true) {
        if i < at || j < bt {
            steps.push((Change::Different, i, at, j, bt));
        }
        (i, j) = (at + size, bt + size);
        if size > 0 {
            steps.push((Change::Equal, at, i, bt, j));
        }
    }
    steps
}

/// Common runs in order, adjacent ones joined, and an empty one at the end.
fn matching_blocks<T: Eq + Hash>(a: &[T], b: &[T], skip_popular: bool) -> Vec<Block> {
    let anchors = anchors(b, skip_popular);
    let (mut pending, mut found) = (vec![(0, a.len(), 0, b.len())], Vec::new());
    while let Some((alo, ahi, blo, bhi)) = pending.pop() {
        let (i, j, size) = longest_match(a, b, &anchors, (alo, ahi, blo, bhi));
        if size == 0 {
            continue;
        }
        found.push((i, j, size));
        if alo < i && blo < j {
            pending.push((alo, i, blo, j));
        }
        if i + size < ahi && j + size < bhi {
            pending.push((i + size, ahi, j + size, bhi));
        }
    }
    found.sort_unstable();
    let mut joined: Vec<Block> = Vec::new();
    for (i, j, size) in found {
        match joined.last_mut() {
            Some(last) if last.0 + last.2 == i && last.1 + last.2 == j => last.2 += size,
            _ => joined.push((i, j, size)),
        }
    }
    joined.push((a.len(), b.len(), 0));
    joined
}

fn anchors<T: Eq + Hash>(b: &[T], skip_popular: bool) -> HashMap<&T, Vec<usize>> {
    let mut places: HashMap<&T, Vec<usize>> = HashMap::new();
    for (j, element) in b.iter().enumerate() {
        places.entry(element).or_default().push(j);
    }
    if skip_popular && b.len() >= POPULAR_FROM {
        places.retain(|_, at| at.len() <= b.len() / 100 + 1);
    }
    places
}

fn longest_match<T: Eq + Hash>(
    a: &[T],
    b: &[T],
    anchors: &HashMap<&T, Vec<usize>>,
    (alo, ahi, blo, bhi): (usize, usize, usize, usize),
) -> Block {
    let mut best = (alo, blo, 0);
    let mut lengths: HashMap<usize, usize> = HashMap::new();
    for (i, element) in a.iter().enumerate().take(ahi).skip(alo) {
        let mut next = HashMap::new();
        for &j in
            anchors.get(element).map_or(&[][..], Vec::as_slice).iter().filter(|j| (blo..bhi).contains(*j))
        {
            let length = j.checked_sub(1).and_then(|before| lengths.get(&before)).unwrap_or(&0) + 1;
            next.insert(j, length);
            if length > best.2 {
                best = (i + 1 - length, j + 1 - length, length);
            }
        }
        lengths = next;
    }
    let (mut i, mut j, mut size) = best;
    while i > alo && j > blo && a[i - 1] == b[j - 1] {
        (i, j, size) = (i - 1, j - 1, size + 1);
    }
    while i + size < ahi && j + size < bhi && a[i + size] == b[j + size] {
        size += 1;
    }
    (i, j, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: &str, b: &str, expected: &str) {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(unified(&lines(a), &lines(b), "x")[1..].join(" "), expected, "{a} / {b}");
    }

    #[test]
    fn changes_are_shown_with_one_line_of_context() {
        check("a b c", "a b c", "");
        check("a b c d e", "a b X d e", "@@  b -c +X  d");
        check("a b c d e f g", "X b c d e f Y", "@@ -a +X  b @@  f -g +Y");
        check("a b c", "a b c d", "@@  c +d");
        check("a b c d", "b c d", "@@ -a  b");
        check("q a b", "a b z", "@@ -q  a  b +z");
    }

    #[test]
    fn the_ratio_counts_common_runs() {
        assert!((ratio(&["a", "b", "c", "d"], &["b", "c", "d", "e"]) - 0.75).abs() < 1e-9);
        assert!((ratio::<&str>(&[], &[]) - 1.0).abs() < 1e-9);
    }
}
