//! The whole product on a node: pods that run, with ESC and the webhook as pods beside them.

mod contexts;
mod delivery;
mod doctor;
mod identity;
mod outages;
mod refresh;
mod restarts;
mod rollout;
mod upgrade;
mod variables;
