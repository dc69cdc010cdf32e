//! Finds the row of a key without a copy of the keys: the rows have them already.
//!
//! Shape: a key is one or more columns, compared with ASCII case folded (`mailroot.md` 3). Rows are known by their
//! place in the table. Of equal keys the first row is kept. The hash is keyed per table: names come from the network.
//! Cost: 16 bytes per row, and the same time for a lookup in a large table as in a small one.

use std::hash::{BuildHasher, Hasher, RandomState};

use hashbrown::HashTable;

/// Which row has which key.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyIndex {
    places: HashTable<(u64, u32)>,
    state: RandomState,
}

impl KeyIndex {
    /// Makes room for `rows` rows.
    pub(super) fn expect(&mut self, rows: usize) {
        self.places.reserve(rows, |&(hash, _)| hash);
    }

    /// The row with this key; `key_of` gives the key of the row at a place.
    pub(super) fn get<'a, const N: usize>(
        &self,
        key: [&str; N],
        key_of: impl Fn(usize) -> [&'a str; N],
    ) -> Option<usize> {
        self.find(self.hash(key), key, key_of)
    }

    fn find<'a, const N: usize>(
        &self,
        hash: u64,
        key: [&str; N],
        key_of: impl Fn(usize) -> [&'a str; N],
    ) -> Option<usize> {
        let found =
            self.places.find(hash, |&(other, row)| other == hash && is_same(key, key_of(row as usize)));
        found.map(|&(_, row)| row as usize)
    }

    /// Remembers the row at `place`, unless an earlier one has this key: then that one is returned.
    pub(super) fn insert<'a, const N: usize>(
        &mut self,
        key: [&str; N],
        place: usize,
        key_of: impl Fn(usize) -> [&'a str; N],
    ) -> Option<usize> {
        let hash = self.hash(key);
        let earlier = self.find(hash, key, key_of);
        if earlier.is_none()
            && let Ok(row) = u32::try_from(place)
        {
            self.places.insert_unique(hash, (hash, row), |&(hash, _)| hash);
        }
        earlier
    }

    /// Forgets the key of the row at `place`, if it is the row that counts for it.
    pub(super) fn remove<const N: usize>(&mut self, key: [&str; N], place: usize) {
        let hash = self.hash(key);
        if let Ok(found) =
            self.places.find_entry(hash, |&(other, row)| other == hash && row as usize == place)
        {
            found.remove();
        }
    }

    /// Adds `shift` to all places from `first` on.
    pub(super) fn shift(&mut self, first: usize, shift: isize) {
        if shift == 0 {
            return;
        }
        for (_, row) in self.places.iter_mut() {
            let place = *row as usize;
            if place >= first {
                // Places are below 2^32: more rows than bytes are read.
                *row = u32::try_from(place.saturating_add_signed(shift)).unwrap_or(u32::MAX);
            }
        }
    }

    fn hash<const N: usize>(&self, key: [&str; N]) -> u64 {
        let mut hasher = self.state.build_hasher();
        for column in key {
            for piece in column.as_bytes().chunks(PIECE_BYTES) {
                let mut folded = [0; PIECE_BYTES];
                let folded = &mut folded[..piece.len()];
                folded.copy_from_slice(piece);
                folded.make_ascii_lowercase();
                hasher.write(folded);
            }
            // No text holds this byte, so that columns cannot run into each other.
            hasher.write_u8(0xff);
        }
        hasher.finish()
    }
}

/// How much of a column is folded at once; most columns are shorter.
const PIECE_BYTES: usize = 64;

fn is_same<const N: usize>(left: [&str; N], right: [&str; N]) -> bool {
    left.iter().zip(right).all(|(left, right)| left.eq_ignore_ascii_case(right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn build(keys: &[[String; 2]]) -> (KeyIndex, Vec<Option<usize>>) {
        let mut index = KeyIndex::default();
        let key_of = |row: usize| [keys[row][0].as_str(), keys[row][1].as_str()];
        let earlier = (0..keys.len()).map(|row| index.insert(key_of(row), row, key_of)).collect();
        (index, earlier)
    }

    proptest! {
        #[test]
        fn each_key_finds_the_first_row_that_has_it(
            keys in prop::collection::vec(["[aAbBäÄ]{0,3}", "[aAb]{0,2}"], 0..60),
        ) {
            let keys: Vec<[String; 2]> = keys;
            let (index, earlier) = build(&keys);
            let same = |a: &[String; 2], b: &[String; 2]| a.iter().zip(b).all(|(a, b)| a.eq_ignore_ascii_case(b));
            for (row, key) in keys.iter().enumerate() {
                let first = keys.iter().position(|other| same(key, other)).unwrap();
                let found = index.get([&key[0], &key[1]], |row| [&keys[row][0], &keys[row][1]]);
                prop_assert_eq!(found, Some(first));
                prop_assert_eq!(earlier[row], (first != row).then_some(first));
            }
        }
    }

    #[test]
    fn columns_do_not_run_into_each_other_and_may_be_long() {
        let long = "x".repeat(3 * PIECE_BYTES + 1);
        let keys = [["ab".into(), "c".into()], ["a".into(), "bc".into()], [long.clone(), "d".into()]];
        let (index, _) = build(&keys);
        let get = |key: [&str; 2]| index.get(key, |row| [&keys[row][0], &keys[row][1]]);
        assert_eq!((get(["AB", "c"]), get(["a", "bc"]), get(["abc", ""])), (Some(0), Some(1), None));
        assert_eq!(get([&long.to_uppercase(), "D"]), Some(2));
    }
}
