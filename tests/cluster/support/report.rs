//! What the fault tests counted, for the table that ends the suite (`tests/cluster/faults`).

use std::{fs::OpenOptions, io::Write};

use super::{cluster::cluster, stream::Tally};

/// Adds a line to the table, and shows it.
pub fn record(fault: &str, tally: &Tally, allowed: &str, note: &str) {
    let (created, refused, elsewhere) = (tally.created, tally.refused.len(), tally.elsewhere.len());
    let line = format!("{fault}\t{created}\t{refused}\t{allowed}\t{elsewhere}\t{note}\n");
    eprint!("{line}");
    let path = cluster().state.join("faults.tsv");
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}
