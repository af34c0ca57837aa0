//! The limit on what one evaluation may build and how long it may take, against documents that grow
//! exponentially through references.

use super::value::NODE_WEIGHT;

/// What one open may cost over all its documents, in [`super::value::Value::weight`], where a step without a
/// result counts like a small value: a thousand times a large real environment, and still no threat to the
/// machine.
pub(super) const BUDGET: usize = 64 << 20;

/// What overridden values may weigh that are carried along when what lies upon them is laid upon more. In rows of diamonds
/// of imports they would double with each row, only tools are told of them, and no environment may fail for them: so
/// this is little beside [`BUDGET`], and still more than a check writes.
const CARRIED: usize = BUDGET / 16;

/// What is left of it. Once exceeded it stays so, and evaluation ends quickly.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
    exhausted: bool,
    /// What may still be carried along.
    carried: usize,
}

/// The evaluation has built more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// Just now: this is worth a diagnostic.
    Now,
    /// Before: it has been said.
    Before,
}

impl Budget {
    pub(super) const MESSAGE: &'static str = "the environment becomes larger than this server allows";

    pub(super) fn new() -> Self {
        Self { left: BUDGET, exhausted: false, carried: CARRIED }
    }

    /// What may still be built.
    pub(super) fn left(&self) -> usize {
        if self.exhausted { 0 } else { self.left }
    }

    /// Takes `weight` off.
    pub(super) fn charge(&mut self, weight: usize) -> Result<(), Exceeded> {
        if self.exhausted {
            return Err(Exceeded::Before);
        }
        match self.left.checked_sub(weight) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.exhaust()),
        }
    }

    /// Takes one step of the evaluation off.
    pub(super) fn step(&mut self) -> Result<(), Exceeded> {
        self.charge(NODE_WEIGHT)
    }

    /// Whether overridden values of this weight may still be carried along.
    pub(super) fn may_carry(&mut self, weight: usize) -> bool {
        let left = self.carried.checked_sub(weight);
        self.carried = left.unwrap_or(self.carried);
        left.is_some()
    }

    /// Ends it: something refused to be built because it would not have fitted.
    pub(super) fn exhaust(&mut self) -> Exceeded {
        if std::mem::replace(&mut self.exhausted, true) { Exceeded::Before } else { Exceeded::Now }
    }
}
