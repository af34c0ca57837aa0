//! How environments are laid over one another: objects unite key by key, everything else replaces.

use std::sync::Arc;

use super::{
    budget::{Budget, Exceeded},
    value::{Kind, Value},
};

/// Lays `over` upon `base`. A null replaces too: it does not delete.
///
/// Costs as much as `over` has properties, however many `base` has.
pub(super) fn merge(base: &Value, over: &Value, budget: &mut Budget) -> Result<Value, Exceeded> {
    budget.step()?;
    let (Kind::Object(below), Kind::Object(above)) = (base.kind(), over.kind()) else {
        return Ok(over.clone().based_on(base.clone()));
    };
    // Nothing below: this is what keeps a chain of imports from being copied at every link.
    if below.is_empty() {
        return Ok(over.clone());
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
    Ok(over.clone().with_properties(united).based_on(base.clone()))
}
