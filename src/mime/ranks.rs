//! Texts as numbers in their order, so that many messages can be compared again and again without their texts.

use std::mem;

/// Different texts in their order; the place of each is its number.
#[derive(Clone, Debug, Default)]
pub struct Ranks {
    texts: Vec<Box<str>>,
}

/// What [`Ranks::add`] changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// The present number of each text that was there, by its former one.
    pub moved: Vec<u32>,
    /// The numbers of the texts that were added, in the order in which they came.
    pub numbers: Vec<u32>,
}

impl Ranks {
    /// Adds texts.
    pub fn add(&mut self, texts: &[String]) -> Added {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_unstable_by(|one, other| texts[*one].cmp(&texts[*other]));
        let mut former = mem::take(&mut self.texts).into_iter().peekable();
        let mut added = Added { moved: Vec::with_capacity(former.len()), numbers: vec![0; texts.len()] };
        for index in order {
            let text = texts[index].as_str();
            while let Some(known) = former.next_if(|known| **known <= *text) {
                added.moved.push(self.push(known));
            }
            added.numbers[index] = match self.texts.last() {
                Some(last) if **last == *text => self.last_number(),
                _ => self.push(text.into()),
            };
        }
        for known in former {
            added.moved.push(self.push(known));
        }
        added
    }

    fn push(&mut self, text: Box<str>) -> u32 {
        self.texts.push(text);
        self.last_number()
    }

    fn last_number(&self) -> u32 {
        u32::try_from(self.texts.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// The text of a number.
    pub fn text(&self, number: u32) -> Option<&str> {
        self.texts.get(usize::try_from(number).ok()?).map(|text| &**text)
    }

    /// Octets of memory, more or less.
    pub fn bytes(&self) -> usize {
        self.texts.iter().map(|text| TEXT_BYTES + text.len()).sum()
    }
}

/// Octets that a text takes besides its own.
const TEXT_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_the_order_of_the_texts() {
        let mut ranks = Ranks::default();
        let mut check = |texts: &[&str], moved: &[u32], numbers: &[u32]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            let added = ranks.add(&texts);
            assert_eq!((&*added.moved, &*added.numbers), (moved, numbers), "{texts:?}");
            for (text, number) in texts.iter().zip(numbers) {
                assert_eq!(ranks.text(*number), Some(&**text));
            }
        };
        check(&["m", "b", "m", ""], &[], &[2, 1, 2, 0]);
        check(&[], &[0, 1, 2], &[]);
        check(&["b", "a", "z", "a"], &[0, 2, 3], &[2, 1, 4, 1]);
        assert_eq!((ranks.text(5), ranks.bytes()), (None, 5 * TEXT_BYTES + 4));
    }
}
