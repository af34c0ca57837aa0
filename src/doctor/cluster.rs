//! The cluster itself: is it new enough, and which ways do variables have.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Check, Refusal, is_cut, list, text, unasked};
use crate::{
    codes::installation as codes,
    inject::{Policy, version::Version},
};

/// The oldest release whose API server has all that injection stands on.
const OLDEST: Version = Version::new(1, 30);

/// The oldest kubelet that reads variables from files.
const READS_FILES: Version = Version::new(1, 35);

const API_SERVER: &str = "API server";

/// Whether the API server is new enough.
pub fn version(answer: &Result<Value, Refusal>) -> Check {
    match answer {
        // Everybody may ask for this, and it takes no storage.
        Err(Refusal::Other(why)) => Check::bad(API_SERVER, format!("said: {why}"), codes::NO_API_SERVER),
        Err(refusal) => unasked(API_SERVER, refusal),
        Ok(answer) => match release(answer) {
            None => Check::unknown(API_SERVER, "not checked: its answer names no release"),
            Some(found) if found < OLDEST => {
                let told = format!("is {found}, and {OLDEST} is the oldest that works");
                Check::bad(API_SERVER, told, codes::OLD_API_SERVER)
            }
            Some(found) => Check::good(API_SERVER, format!("is {found}")),
        },
    }
}

/// The release that an API server says it is of.
pub fn release(answer: &Value) -> Option<Version> {
    let part = |key: &str| text(answer, key).filter(|text| !text.is_empty());
    let major = part("/emulationMajor").or_else(|| part("/major"))?;
    let minor = part("/emulationMinor").or_else(|| part("/minor"))?;
    format!("{major}.{minor}").parse().ok()
}

/// Which ways variables have on these nodes.
pub fn kubelets(
    nodes: &Result<Value, Refusal>,
    api_server: Option<Version>,
    policy: Option<&Policy>,
) -> Vec<Check> {
    const SUBJECT: &str = "kubelets";
    let nodes = match nodes {
        Ok(nodes) => nodes,
        Err(refusal) => return vec![unasked(SUBJECT, refusal)],
    };
    let mut releases: BTreeMap<Version, usize> = BTreeMap::new();
    for node in list(nodes, "/items") {
        let version = text(node, "/status/nodeInfo/kubeletVersion").unwrap_or_default();
        let mut numbers = version.trim_start_matches('v').split('.');
        let short = [numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()].join(".");
        if let Ok(release) = short.parse() {
            *releases.entry(release).or_default() += 1;
        }
    }
    let Some((&oldest, _)) = releases.first_key_value() else {
        return vec![Check::unknown(SUBJECT, "not checked: no node tells its release")];
    };
    let counted: Vec<_> = releases.iter().map(|(release, count)| format!("{count} of {release}")).collect();
    let looked = if is_cut(nodes) { " (of the first nodes only)" } else { "" };
    let counted = format!("{}{looked}", counted.join(", "));
    let promised = policy.and_then(|policy| policy.min_kubelet);
    let is_promised = promised.is_some_and(|promised| promised >= READS_FILES)
        || api_server.is_some_and(|release| release >= Version::new(1, 38));
    vec![match promised {
        Some(promised) if oldest < promised => {
            let told = format!("{counted}, but the webhook was told that none is older than {promised}");
            Check::bad(SUBJECT, told, codes::OLDER_KUBELET)
        }
        _ if is_promised => Check::good(
            SUBJECT,
            format!("{counted}: variables by wrapper and by kubelet (env-mode exec, kubelet)"),
        ),
        _ if oldest >= READS_FILES => Check::good(
            SUBJECT,
            format!("{counted}: variables by wrapper; by kubelet too once minKubelet is {READS_FILES}"),
        ),
        _ => Check::good(SUBJECT, format!("{counted}: variables by wrapper (env-mode exec)")),
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn an_api_server_is_judged_by_its_release() {
        for (answer, verdict) in [
            (Ok(json!({"major": "1", "minor": "30+"})), Verdict::Good),
            (Ok(json!({"major": "1", "minor": "29"})), Verdict::Bad),
            (
                Ok(json!({"major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "28"})),
                Verdict::Bad,
            ),
            (Ok(json!({})), Verdict::Unknown),
            (Err(Refusal::Forbidden("no".to_owned())), Verdict::Unknown),
            (Err(Refusal::Unauthenticated("who?".to_owned())), Verdict::Bad),
            (Err(Refusal::Other("etcd".to_owned())), Verdict::Bad),
            (Err(Refusal::Silent("gone".to_owned())), Verdict::Bad),
        ] {
            assert_eq!(version(&answer).verdict, verdict, "{answer:?}");
        }
    }

    #[test]
    fn kubelets_are_held_against_what_the_webhook_was_told() {
        let nodes = |versions: &[&str]| {
            let node = |version: &&str| json!({"status": {"nodeInfo": {"kubeletVersion": version}}});
            Ok(json!({"items": versions.iter().map(node).collect::<Vec<_>>()}))
        };
        let told = |minimum: Option<&str>| Policy {
            min_kubelet: minimum.map(|text| text.parse().unwrap()),
            ..Policy::default()
        };
        for (versions, minimum, verdict, part) in [
            (&["v1.33.1", "v1.34.0"][..], None, Verdict::Good, "by wrapper (env-mode exec)"),
            (&["v1.35.2"], None, Verdict::Good, "once minKubelet is 1.35"),
            (&["v1.35.2-eks-1"], Some("1.35"), Verdict::Good, "by wrapper and by kubelet"),
            (&["v1.34.0", "v1.36.0"], Some("1.35"), Verdict::Bad, "none is older than 1.35"),
            (&[], None, Verdict::Unknown, "no node"),
        ] {
            let check = kubelets(&nodes(versions), None, Some(&told(minimum))).remove(0);
            assert_eq!(check.verdict, verdict, "{versions:?}");
            assert!(check.found.contains(part), "{}", check.found);
        }
    }
}
