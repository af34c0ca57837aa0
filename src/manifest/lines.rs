//! Where bytes of a text stand for its readers: lines and columns as editors count them. Counted once for a text, however
//! many places in it are asked for.

use std::ops::Range;

/// How far apart the places are whose characters are counted beforehand.
const STRIDE: usize = 1024;

/// What editors don't show.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A text whose lines and characters are counted.
#[derive(Debug)]
pub struct Lines<'a> {
    text: &'a str,
    /// Where each line begins, in bytes.
    starts: Vec<usize>,
    /// How many characters begin before each stride.
    characters: Vec<usize>,
}

/// A place for readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Its line, from 1.
    pub line: usize,
    /// Its columns there, in characters from 1, tabs among them.
    pub columns: Range<usize>,
    /// The line around it.
    pub quote: Quote,
}

/// A line around a place, or as much of it as anybody shows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quote {
    /// The text.
    pub text: String,
    /// How many of its characters are before the place.
    pub before: usize,
}

impl<'a> Lines<'a> {
    /// Counts.
    pub fn new(text: &'a str) -> Self {
        let after_newline = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(after_newline).collect();
        let mut so_far = 0;
        let characters = text.as_bytes().chunks(STRIDE).map(|stride| {
            let before = so_far;
            so_far += begun_in(stride);
            before
        });
        Self { text, starts, characters: characters.collect() }
    }

    /// The line that a span begins in, and the span's columns there.
    pub fn position(&self, span: &Range<usize>) -> Position {
        let from = span.start.min(self.text.len());
        let number = self.starts.partition_point(|start| *start <= from);
        let start = self.starts.get(number.wrapping_sub(1)).copied().unwrap_or(0);
        let end = self.starts.get(number).map_or(self.text.len(), |next| next - 1);
        let line = self.text.get(start..end).unwrap_or_default();
        let start = start + line.strip_prefix(BYTE_ORDER_MARK).map_or(0, |_| BYTE_ORDER_MARK.len_utf8());
        let end = if line.ends_with('\r') { end - 1 } else { end };
        let from = from.max(start);
        let to = span.end.min(end).max(from);
        let first = self.characters(start..from) + 1;
        let columns = first..first + self.characters(from..to);
        Position { line: number, columns, quote: self.quote(start..end, from) }
    }

    /// How many characters there are in a span that begins and ends between characters.
    fn characters(&self, span: Range<usize>) -> usize {
        self.before(span.end).saturating_sub(self.before(span.start))
    }

    fn before(&self, byte: usize) -> usize {
        let stride = (byte / STRIDE).min(self.characters.len().saturating_sub(1));
        let counted = self.characters.get(stride).copied().unwrap_or(0);
        counted + self.text.as_bytes().get(stride * STRIDE..byte).map_or(0, begun_in)
    }

    /// What is around a place in its line. Lines of machines can be the whole text.
    fn quote(&self, line: Range<usize>, at: usize) -> Quote {
        /// More than any report has room for.
        const SHOWN: usize = 400;
        let before = self.text.get(line.start..at).unwrap_or_default();
        let before = last_characters(before, SHOWN);
        let after = self.text.get(at..line.end.max(at)).unwrap_or_default();
        let after =
            after.char_indices().nth(SHOWN).map_or(after, |(end, _)| after.get(..end).unwrap_or(after));
        Quote { text: [before, after].concat(), before: before.chars().count() }
    }
}

fn last_characters(text: &str, count: usize) -> &str {
    let first = text.char_indices().rev().take(count).last();
    first.and_then(|(at, _)| text.get(at..)).unwrap_or_default()
}

/// How many characters of UTF-8 begin among these bytes.
fn begun_in(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0b1100_0000 != 0b1000_0000).count()
}

#[cfg(test)]
mod tests {
    use super::{Lines, Position, STRIDE};

    fn at(text: &str, span: std::ops::Range<usize>) -> (usize, std::ops::Range<usize>, String, usize) {
        let Position { line, columns, quote } = Lines::new(text).position(&span);
        (line, columns, quote.text, quote.before)
    }

    #[test]
    fn lines_and_columns_are_those_of_editors() {
        let text = "é: 1\r\n\tab: cde\nlast";
        assert_eq!(at(text, 0..2), (1, 1..2, "é: 1".to_owned(), 0));
        let cde = text.find("cde").unwrap();
        assert_eq!(at(text, cde..cde + 3), (2, 6..9, "\tab: cde".to_owned(), 5));
        assert_eq!(at(text, cde..text.len()), (2, 6..9, "\tab: cde".to_owned(), 5));
        assert_eq!(at(text, text.len()..text.len()), (3, 5..5, "last".to_owned(), 4));
        assert_eq!(at("a\n", 2..2), (2, 1..1, String::new(), 0));
        assert_eq!(at("", 0..0), (1, 1..1, String::new(), 0));
        assert_eq!(at("\u{feff}ab: c\n", 3..5), (1, 1..3, "ab: c".to_owned(), 0));
    }

    #[test]
    fn columns_are_right_wherever_in_a_long_text() {
        let word = "äbç→𝄞 ";
        let text = format!("{}\n{}", word.repeat(STRIDE), word.repeat(STRIDE));
        let second = text.find('\n').unwrap() + 1;
        let lines = Lines::new(&text);
        for (number, (byte, _)) in text[second..].char_indices().enumerate().step_by(97) {
            let position = lines.position(&(second + byte..second + byte));
            assert_eq!((position.line, position.columns.start), (2, number + 1));
            assert!(position.quote.before <= 400 && position.quote.text.chars().count() <= 800);
        }
    }
}
