//! A small generator of inputs, the same in every run: what fuzzers do first, without what they learn.

/// Pieces that mean something to one reader or another.
const PIECES: &[&[u8]] = &[
    b"",
    b"\0",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"'",
    b"\"",
    b"\\",
    b"$",
    b"$(A)",
    b"{{",
    b"}}",
    b"{% for x in values %}",
    b"{% endfor %}",
    b"values",
    b"[*]",
    b"[\"a\"]",
    b".",
    b"..",
    b"/",
    b"@",
    b":",
    b"- ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"=",
    b"+",
    b"?",
    b"-1",
    b"1e999",
    b"0x",
    b"18446744073709551616",
    b"null",
    b"true",
    b"~",
    b"&a ",
    b"*a",
    b"!!str ",
    b"|\n ",
    b"\xff",
    b"\xc3\xa4",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
    b"{\"value\":",
    b"\"secret\":true",
    b"\"unknown\":true",
    b"optional",
];

/// Longest input: what is worse for being long has tests of its own.
const LONGEST: usize = 4096;

/// Makes inputs out of seeds.
pub struct Generator {
    seeds: Vec<Vec<u8>>,
    state: u64,
}

impl Generator {
    pub fn new(seeds: Vec<Vec<u8>>) -> Self {
        // Any number but zero.
        Self { seeds, state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// xorshift64: a few lines, and the same on every machine.
    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % end.max(1) as u64) as usize
    }

    /// A seed with one to four changes.
    pub fn next_input(&mut self) -> Vec<u8> {
        let seed = self.below(self.seeds.len());
        let mut input = self.seeds[seed].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let end = at + self.below((input.len() - at).min(16) + 1);
        match self.below(7) {
            0 => drop(input.drain(at..end)),
            1 => input.truncate(at),
            2 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            3 => {
                let copy = input[at..end].to_vec();
                let times = 1 + self.below(20);
                drop(input.splice(at..at, copy.repeat(times)));
            }
            4 => {
                let other = self.below(self.seeds.len());
                let tail = self.below(self.seeds[other].len() + 1);
                input.truncate(at);
                input.extend_from_slice(&self.seeds[other][tail..]);
            }
            _ => {
                let piece = PIECES[self.below(PIECES.len())];
                drop(input.splice(at..end, piece.iter().copied()));
            }
        }
    }
}
