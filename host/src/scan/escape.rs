//! One escape of one layer, byte by byte: what it stands for is known when it ends.
//!
//! Every way of reading is followed, so an escape that turns out to be none just goes: whoever began it also
//! took its bytes as they are.

/// How much of an escape has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Escape {
    /// None has begun.
    #[default]
    None,
    /// `%` (RFC 3986 section 2.1), or of `%u002d`.
    Percent,
    /// `=` of quoted-printable (RFC 2045 section 6.7).
    Equals,
    /// A backslash.
    Backslash,
    /// A backslash and `u` or `x`, with the digits to come unless they stand in braces.
    Letter(u8),
    /// Digits in base 16, so many to come, and what they are of.
    Hex(u8, u32, Of),
    /// Digits in braces, so many so far.
    Brace(u8, u32),
    /// Digits in base 8 after a backslash, so many to come.
    Octal(u8, u32),
    /// `&`.
    Ampersand,
    /// `&#`.
    Hash,
    /// `&#x`.
    HashX,
    /// A numeric character reference, so many digits so far, in this base.
    Reference(u8, u32, u8),
    /// The letters of a named one, five bits each.
    Name(u8, u32),
    /// The carriage return of a line break that an escape takes away.
    Return,
    /// A line break inside of a text, and the blanks after it.
    Fold,
}

/// What some digits are of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Of {
    Byte,
    Char,
}

/// What a byte makes of an escape: it may have ended here, and it may go on as well.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Step {
    pub(super) stands_for: Option<Meaning>,
    pub(super) goes_on: Option<Escape>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Meaning {
    Nothing,
    Byte(u8),
    /// A character by its number, or half of a surrogate pair.
    Char(u32),
}

/// Names of characters that a header may have in it (HTML section 13.5), in lower case, of six letters at most.
const NAMES: &[(u32, u8)] = &[
    (packed(b"tab"), b'\t'),
    (packed(b"excl"), b'!'),
    (packed(b"quot"), b'"'),
    (packed(b"num"), b'#'),
    (packed(b"dollar"), b'$'),
    (packed(b"percnt"), b'%'),
    (packed(b"amp"), b'&'),
    (packed(b"apos"), b'\''),
    (packed(b"lpar"), b'('),
    (packed(b"rpar"), b')'),
    (packed(b"ast"), b'*'),
    (packed(b"midast"), b'*'),
    (packed(b"plus"), b'+'),
    (packed(b"comma"), b','),
    (packed(b"period"), b'.'),
    (packed(b"sol"), b'/'),
    (packed(b"colon"), b':'),
    (packed(b"semi"), b';'),
    (packed(b"lt"), b'<'),
    (packed(b"equals"), b'='),
    (packed(b"gt"), b'>'),
    (packed(b"quest"), b'?'),
    (packed(b"commat"), b'@'),
    (packed(b"lsqb"), b'['),
    (packed(b"lbrack"), b'['),
    (packed(b"bsol"), b'\\'),
    (packed(b"rsqb"), b']'),
    (packed(b"rbrack"), b']'),
    (packed(b"hat"), b'^'),
    (packed(b"lowbar"), b'_'),
    (packed(b"grave"), b'`'),
    (packed(b"lcub"), b'{'),
    (packed(b"lbrace"), b'{'),
    (packed(b"verbar"), b'|'),
    (packed(b"vert"), b'|'),
    (packed(b"rcub"), b'}'),
    (packed(b"rbrace"), b'}'),
];

impl Step {
    const NONE: Self = Self {
        stands_for: None,
        goes_on: None,
    };

    fn on(escape: Escape) -> Self {
        Self {
            goes_on: Some(escape),
            ..Self::NONE
        }
    }

    fn byte(byte: u8) -> Self {
        Self {
            stands_for: Some(Meaning::Byte(byte)),
            ..Self::NONE
        }
    }

    fn char(number: u32) -> Self {
        Self {
            stands_for: Some(Meaning::Char(number)),
            ..Self::NONE
        }
    }

    /// Stands for nothing so far, and more of it may come.
    fn nothing(more: Option<Escape>) -> Self {
        Self {
            stands_for: Some(Meaning::Nothing),
            goes_on: more,
        }
    }
}

/// Whether an escape may begin with the byte.
pub(super) fn begins(byte: u8) -> bool {
    matches!(byte, b'%' | b'=' | b'\\' | b'&' | b'\r' | b'\n')
}

impl Escape {
    pub(super) fn step(self, byte: u8) -> Step {
        let digit = char::from(byte).to_digit(16);
        match (self, byte, digit) {
            (Self::None, b'%', _) => Step::on(Self::Percent),
            (Self::None, b'=', _) => Step::on(Self::Equals),
            (Self::None, b'\\', _) => Step::on(Self::Backslash),
            (Self::None, b'&', _) => Step::on(Self::Ampersand),
            (Self::None, b'\r' | b'\n', _) | (Self::Fold, b'\r' | b'\n' | b'\t' | b' ', _) => {
                Step::nothing(Some(Self::Fold))
            }
            (Self::Percent, b'u', _) => Step::on(Self::Hex(4, 0, Of::Char)),
            (Self::Percent | Self::Equals, _, Some(digit)) => {
                Step::on(Self::Hex(1, digit, Of::Byte))
            }
            (Self::Equals | Self::Backslash, b'\r', _) => Step::nothing(Some(Self::Return)),
            (Self::Equals | Self::Backslash | Self::Return, b'\n', _) => Step::nothing(None),
            (Self::Backslash, _, _) => backslash(byte),
            (Self::Letter(_), b'{', _) => Step::on(Self::Brace(0, 0)),
            (Self::Letter(left), _, Some(digit)) => {
                let of = if left == 2 { Of::Byte } else { Of::Char };
                Step::on(Self::Hex(left.saturating_sub(1), digit, of))
            }
            (Self::Hex(1, value, of), _, Some(digit)) => ended(value << 4 | digit, of),
            (Self::Hex(left, value, of), _, Some(digit)) => {
                Step::on(Self::Hex(left.saturating_sub(1), value << 4 | digit, of))
            }
            (Self::Brace(1.., value), b'}', _) => Step::char(value),
            (Self::Brace(so_far @ ..=5, value), _, Some(digit)) => {
                Step::on(Self::Brace(so_far.saturating_add(1), value << 4 | digit))
            }
            (Self::Octal(left, value), b'0'..=b'7', Some(digit)) => match left {
                1 => ended(value << 3 | digit, Of::Byte),
                _ => Step::on(Self::Octal(left.saturating_sub(1), value << 3 | digit)),
            },
            (Self::Ampersand, b'#', _) => Step::on(Self::Hash),
            (Self::Ampersand, b'a'..=b'z' | b'A'..=b'Z', _) => {
                Step::on(Self::Name(1, letter(byte)))
            }
            (Self::Hash, b'x' | b'X', _) => Step::on(Self::HashX),
            (Self::Hash, _, _) => Self::Reference(0, 0, 10).step_reference(byte),
            (Self::HashX, _, _) => Self::Reference(0, 0, 16).step_reference(byte),
            (Self::Reference(..), _, _) => self.step_reference(byte),
            (Self::Name(so_far @ ..=5, name), b'a'..=b'z' | b'A'..=b'Z', _) => Step::on(
                Self::Name(so_far.saturating_add(1), name << 5 | letter(byte)),
            ),
            (Self::Name(_, name), b';', _) => named(name).map_or(Step::NONE, Step::byte),
            _ => Step::NONE,
        }
    }

    /// Browsers take a numeric reference also without its semicolon: it may end at each digit.
    fn step_reference(self, byte: u8) -> Step {
        let Self::Reference(so_far, value, base) = self else {
            return Step::NONE;
        };
        match char::from(byte).to_digit(base.into()) {
            Some(digit) if so_far < 7 => {
                let value = value.saturating_mul(base.into()).saturating_add(digit);
                let more = Some(Self::Reference(so_far.saturating_add(1), value, base));
                Step {
                    goes_on: more,
                    ..Step::char(value)
                }
            }
            None if byte == b';' && so_far > 0 => Step::char(value),
            _ => Step::NONE,
        }
    }
}

/// What a byte after a backslash is: of JSON, JavaScript, C and shells, which agree but for what nobody escapes.
fn backslash(byte: u8) -> Step {
    match byte {
        b'u' => Step::on(Escape::Letter(4)),
        b'x' => Step::on(Escape::Letter(2)),
        b'U' => Step::on(Escape::Hex(8, 0, Of::Char)),
        b'0'..=b'7' => Step::on(Escape::Octal(2, u32::from(byte.saturating_sub(b'0')))),
        b'n' => Step::byte(b'\n'),
        b't' => Step::byte(b'\t'),
        b'r' => Step::byte(b'\r'),
        _ => Step::byte(byte),
    }
}

fn ended(value: u32, of: Of) -> Step {
    match (of, u8::try_from(value)) {
        (Of::Byte, Ok(byte)) => Step::byte(byte),
        (Of::Byte, Err(_)) => Step::NONE,
        (Of::Char, _) => Step::char(value),
    }
}

const fn letter(byte: u8) -> u32 {
    (byte & 0x1f) as u32
}

const fn packed(mut name: &[u8]) -> u32 {
    let mut packed = 0;
    while let [first, rest @ ..] = name {
        packed = packed << 5 | letter(*first);
        name = rest;
    }
    packed
}

fn named(name: u32) -> Option<u8> {
    let known = NAMES.iter().find(|(known, _)| *known == name);
    known.map(|(_, byte)| *byte)
}
