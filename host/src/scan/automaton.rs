//! The automaton of Aho and Corasick over a few patterns, as one table: cheap to make, one look-up a byte.
//!
//! Takes upper and lower case as one. It stops at the first match, so a state that matches needs no row.

/// Bytes of all patterns together: each may need a state, and states are numbers of 16 bits.
pub(super) const MOST: usize = 60_000;

/// A place in the automaton.
pub(super) type State = u16;

/// Where every search begins: no beginning of a pattern has been seen.
pub(super) const START: State = 0;

/// States from here on are matches; the number says whose.
const FIRST_MATCH: State = State::MAX - OWNERS;
const OWNERS: u16 = 4_096;

/// What a byte leads to.
pub(super) enum Next {
    State(State),
    /// A pattern of this owner ends here.
    Match(u16),
}

pub(super) struct Automaton {
    /// Which column a byte has: 0 for those that stand in no pattern.
    columns: [u8; 256],
    width: usize,
    /// One row for each state.
    next: Vec<State>,
    /// Of each state, the longest proper suffix that is a state.
    suffixes: Vec<State>,
}

impl Automaton {
    /// An automaton for patterns in lower case, each with the number of its owner; None for more than [`MOST`]
    /// bytes of patterns, or as many owners.
    pub(super) fn new(patterns: &[(Vec<u8>, u16)]) -> Option<Self> {
        let bytes: usize = patterns.iter().map(|(pattern, _)| pattern.len()).sum();
        if bytes > MOST || patterns.iter().any(|(_, owner)| *owner >= OWNERS) {
            return None;
        }
        let mut used = [false; 256];
        for byte in patterns.iter().flat_map(|(pattern, _)| pattern) {
            *used.get_mut(usize::from(*byte))? = true;
        }
        let mut columns = [0; 256];
        let mut width = 1_usize;
        for (column, _) in columns.iter_mut().zip(used).filter(|(_, used)| *used) {
            // 256 columns are for a text of all bytes, which is no text.
            *column = u8::try_from(width).ok()?;
            width = width.saturating_add(1);
        }
        for upper in b'A'..=b'Z' {
            let lower = columns.get(usize::from(upper.to_ascii_lowercase()));
            let lower = lower.copied().unwrap_or(0);
            *columns.get_mut(usize::from(upper))? = lower;
        }
        let states = bytes.saturating_add(1);
        let mut automaton = Self {
            columns,
            width,
            next: Vec::with_capacity(states.saturating_mul(width)),
            suffixes: Vec::with_capacity(states),
        };
        automaton.fill(patterns)?;
        Some(automaton)
    }

    /// Makes the states level by level. The row of a state begins as that of its longest proper suffix, which is of
    /// an earlier level, so what stands where a new child goes is the longest proper suffix of that child.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "at most MOST + 1 states of 256 columns each, and owners below OWNERS: `new` refuses more"
    )]
    fn fill(&mut self, patterns: &[(Vec<u8>, u16)]) -> Option<()> {
        let width = self.width;
        self.next.resize(width, START);
        // Of each state: its longest proper suffix, and whose pattern ends there.
        let (mut suffixes, mut owners) = (vec![START], vec![None]);
        let mut level = 0..0_usize;
        let mut places: Vec<(State, &[u8], u16)> = patterns
            .iter()
            .map(|(pattern, owner)| (START, &pattern[..], *owner))
            .collect();
        while !places.is_empty() {
            for state in level.clone() {
                let from = usize::from(*suffixes.get(state)?) * width;
                self.next.copy_within(from..from + width, state * width);
            }
            level = suffixes.len()..suffixes.len();
            for (state, pattern, owner) in &mut places {
                let Some((byte, rest)) = pattern.split_first() else {
                    continue;
                };
                let column = *self.columns.get(usize::from(*byte))?;
                let at = usize::from(*state) * width + usize::from(column);
                let mut child = *self.next.get(at)?;
                if usize::from(child) < level.start || child == START {
                    let suffix = child;
                    child = State::try_from(suffixes.len()).ok()?;
                    *self.next.get_mut(at)? = child;
                    suffixes.push(suffix);
                    owners.push(*owners.get(usize::from(suffix))?);
                    self.next.resize(self.next.len() + width, START);
                }
                (*state, *pattern) = (child, rest);
                if rest.is_empty() {
                    owners.get_mut(usize::from(child))?.get_or_insert(*owner);
                }
            }
            level.end = suffixes.len();
            places.retain(|(state, pattern, _)| {
                let matches = owners.get(usize::from(*state)).is_some_and(Option::is_some);
                !pattern.is_empty() && !matches
            });
        }
        // The last level has not got its rows yet; nothing looks at those of matches.
        for state in level {
            let from = usize::from(*suffixes.get(state)?) * width;
            self.next.copy_within(from..from + width, state * width);
        }
        for next in &mut self.next {
            if let Some(owner) = owners.get(usize::from(*next))? {
                *next = FIRST_MATCH + owner;
            }
        }
        self.suffixes = suffixes;
        Some(())
    }

    #[expect(
        clippy::arithmetic_side_effects,
        reason = "once for each byte; a state is a u16 and a row has 256 columns at most, and a match is not below FIRST_MATCH"
    )]
    pub(super) fn next(&self, state: State, byte: u8) -> Next {
        let column = self.columns.get(usize::from(byte)).copied().unwrap_or(0);
        let at = usize::from(state) * self.width + usize::from(column);
        match self.next.get(at).copied().unwrap_or(START) {
            next if next >= FIRST_MATCH => Next::Match(next - FIRST_MATCH),
            next => Next::State(next),
        }
    }

    /// Whether whatever is found from `other` is found from `state` as well: what was read last of it is all of `other`.
    pub(super) fn covers(&self, mut state: State, other: State) -> bool {
        // A suffix is of an earlier level, and has a lower number.
        while state > other {
            state = self
                .suffixes
                .get(usize::from(state))
                .copied()
                .unwrap_or(START);
        }
        state == other
    }

    /// Whether the byte leads away from the start.
    pub(super) fn leaves(&self, byte: u8) -> bool {
        !matches!(self.next(START, byte), Next::State(START))
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        let states = self
            .next
            .capacity()
            .saturating_add(self.suffixes.capacity());
        states.saturating_mul(size_of::<State>())
    }
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
mod tests {
    use super::*;

    /// Whose pattern ends first, and where.
    fn first(automaton: &Automaton, text: &[u8]) -> Option<(usize, u16)> {
        let mut state = START;
        for (at, byte) in text.iter().enumerate() {
            match automaton.next(state, *byte) {
                Next::State(next) => state = next,
                Next::Match(owner) => return Some((at + 1, owner)),
            }
        }
        None
    }

    #[test]
    fn the_first_end_of_any_pattern_is_found() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut hits = 0;
        for _ in 0..5_000 {
            let mut text = |most: u64| -> Vec<u8> {
                let length = next(most) + 1;
                (0..length).map(|_| b"abC"[next(3) as usize % 3]).collect()
            };
            let patterns: Vec<_> = (0..4)
                .map(|owner| (text(6).to_ascii_lowercase(), owner))
                .collect();
            let text = text(30);
            let automaton = Automaton::new(&patterns).unwrap();
            let lower = text.to_ascii_lowercase();
            let end = (0..=lower.len()).find(|end| {
                let read = lower.get(..*end).unwrap();
                patterns.iter().any(|(pattern, _)| read.ends_with(pattern))
            });
            let found = first(&automaton, &text);
            assert_eq!(found.map(|(end, _)| end), end, "{patterns:?} {text:?}");
            if let Some((end, owner)) = found {
                hits += 1;
                let read = lower.get(..end).unwrap();
                assert!(
                    patterns
                        .iter()
                        .any(|(pattern, of)| *of == owner && read.ends_with(pattern))
                );
            }
        }
        assert!((1_000..5_000).contains(&hits), "{hits}");
    }

    #[test]
    fn more_than_fits_is_refused() {
        assert!(Automaton::new(&[(vec![b'x'; MOST], 0)]).is_some());
        assert!(Automaton::new(&[(vec![b'x'; MOST], 0), (vec![b'y'], 1)]).is_none());
        assert!(Automaton::new(&[(vec![b'x'], OWNERS)]).is_none());
        let none = Automaton::new(&[]).unwrap();
        assert!(!none.leaves(b'a') && first(&none, b"anything").is_none());
    }
}
