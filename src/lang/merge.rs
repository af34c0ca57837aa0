//! How environments are laid over one another: objects unite key by key, everything else replaces.

use std::sync::Arc;

use super::{
    budget::{Budget, Exceeded},
    value::{Kind, Value},
};

/// Values that lie upon one another when a whole stack of them is laid upon others. Imports that import one another
/// reach half of it.
const MAX_HEIGHT: usize = 256;

/// Lays `over` upon `base`. A null replaces too: it does not delete.
///
/// Costs as much as `over` has properties, however many `base` has; and as much again for each value that `over` was
/// laid over before, as far as these are kept.
pub(super) fn merge(base: &Value, over: &Value, budget: &mut Budget) -> Result<Value, Exceeded> {
    budget.step()?;
    let beneath = match over.base() {
        // What it stood on stays between the two, as tools are told of it.
        Some(own) if over.height() + base.height() <= MAX_HEIGHT && budget.may_carry(own.weight()) => {
            merge(base, own, budget)?
        }
        _ => base.clone(),
    };
    let (Kind::Object(below), Kind::Object(above)) = (base.kind(), over.kind()) else {
        return Ok(over.clone().based_on(beneath));
    };
    // Nothing below: this is what keeps a chain of imports from being copied at every link.
    if below.is_empty() {
        return Ok(over.clone().based_on(beneath));
    }
    let mut top = Vec::with_capacity(above.len());
    for (key, value) in above {
        let value = match below.get(key) {
            Some(inherited) => merge(inherited, value, budget)?,
            None => {
                budget.step()?;
                value.clone()
            }
        };
        top.push((Arc::clone(key), value));
    }
    let united = below.overlaid(top);
    Ok(over.clone().with_properties(united).based_on(beneath))
}
