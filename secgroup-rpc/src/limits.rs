//! How much a message may ask for.

/// Bounds on what reading a message may build, whatever its bytes say.
///
/// The defaults fit every message that a cloud of 100,000 ports makes; lower them where memory is
/// scarce.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Whether a compact message must be the one canonical encoding of what it says. Finding out takes
    /// as long as encoding it; without it, bytes from a trusted peer decode faster. On by default.
    pub canonical: bool,
    /// Nesting of JSON arrays and objects. Text deeper than 127 levels is refused in any case.
    pub depth: usize,
    /// Members of all groups together, after decoding: a few bytes can say "all of 10.0.0.0/8".
    pub members: usize,
    /// Rules of all groups together, after decoding: groups may share a list.
    pub rules: usize,
    /// JSON values (unknown keys, envelopes, pushes), after decoding.
    pub values: usize,
    /// Bytes of text in those values, after decoding.
    pub text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { canonical: true, depth: 64, members: 1 << 22, rules: 1 << 20, values: 1 << 24, text: 1 << 28 }
    }
}
