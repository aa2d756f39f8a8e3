//! Input that the user has to change: where it is, what is wrong, what to do about it.

use core::fmt;
use std::path::Path;

/// The exit code of a command that was given bad input.
pub const EXIT_BAD_INPUT: u8 = 2;

/// A mistake in a file or an argument. Printed as `place: what`, then the source line if there is
/// one, then the advice.
#[derive(Debug)]
pub struct BadInput {
    place: String,
    what: String,
    excerpt: Option<Excerpt>,
    help: Option<String>,
}

/// The line of a text file that is to blame.
#[derive(Debug)]
struct Excerpt {
    line: usize,
    text: String,
    /// Characters before the mark, and its length.
    mark: (usize, usize),
}

impl BadInput {
    /// A mistake at `place`, such as `"--in p9=a.pcap"` or `"a.pcap: packet 7, offset 812"`.
    pub fn new(place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { place: place.to_string(), what: what.to_string(), excerpt: None, help: None }
    }

    /// A mistake in the text file `path`, at these bytes of its `source`.
    pub fn in_text(
        path: &Path,
        source: &str,
        span: core::ops::Range<usize>,
        what: impl fmt::Display,
    ) -> Self {
        let start = span.start.min(source.len());
        let before = source.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        let text = source.lines().nth(line - 1).unwrap_or_default().to_owned();
        let marked = source.get(start..span.end.min(source.len())).unwrap_or_default();
        let length = marked.lines().next().unwrap_or_default().chars().count().max(1);
        Self {
            place: format!("{}:{line}:{}", path.display(), column + 1),
            what: what.to_string(),
            excerpt: Some(Excerpt { line, text, mark: (column, length) }),
            help: None,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn help(mut self, help: impl fmt::Display) -> Self {
        self.help = Some(help.to_string());
        self
    }
}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)?;
        if let Some(Excerpt { line, text, mark: (column, length) }) = &self.excerpt {
            let gutter = line.to_string().len();
            write!(f, "\n{:gutter$} |\n{line} | {text}\n{:gutter$} | ", "", "")?;
            // Tabs stay tabs, so that the mark stands under its text.
            for c in text.chars().take(*column) {
                write!(f, "{}", if c == '\t' { '\t' } else { ' ' })?;
            }
            write!(f, "{}", "^".repeat(*length))?;
        }
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for BadInput {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_in_a_text_names_line_and_column_and_marks_the_value() {
        let source = "[[port]]\nname = \"p0\"\n\ttag = 4095\n";
        let at = source.find("4095").unwrap();
        let error =
            BadInput::in_text(Path::new("sw.toml"), source, at..at + 4, "no VLAN").help("use 1..=4094");
        assert_eq!(
            error.to_string(),
            "sw.toml:3:8: no VLAN\n  |\n3 | \ttag = 4095\n  | \t      ^^^^\n  help: use 1..=4094"
        );
    }

    #[test]
    fn a_span_outside_of_the_text_is_no_panic() {
        let error = BadInput::in_text(Path::new("a"), "", 5..9, "empty");
        assert_eq!(error.to_string(), "a:1:1: empty\n  |\n1 | \n  | ^");
    }
}
