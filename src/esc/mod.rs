//! The ESC domain: what an environment is called, what its values are, and how they are written down.
//!
//! Pure: no I/O, no clock, nothing spawned. Facts about ESC's behaviour are stated where they are implemented.

pub mod duration;
pub mod lookup;
pub mod merge;
pub mod names;
pub mod path;
pub mod pattern;
pub mod projection;
pub(crate) mod quote;
pub mod reference;
pub mod render;
pub mod token_type;
pub mod value;
mod wire;
