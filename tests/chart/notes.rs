//! What Helm says after the installation.

use crate::{helm::Helm, objects::FULLNAME};

fn notes(values: &str) -> String {
    let arguments = ["install", "inj", "charts/esc-injector", "--namespace", "esc", "--dry-run=client"];
    let output = Helm::v4().run(&arguments, values);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{values}: {}", String::from_utf8_lossy(&output.stderr));
    text.split_once("NOTES:").expect("Helm prints the notes").1.to_owned()
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn the_notes_name_the_first_steps_and_the_way_out() {
    let notes = notes("{}");
    for line in [
        "kubectl label namespace NAMESPACE esc.pulumi.com/injection=enabled",
        "esc.pulumi.com/environment: ORGANIZATION/PROJECT/ENVIRONMENT",
        "helm test inj -n esc",
        &format!("kubectl delete mutatingwebhookconfiguration {FULLNAME}"),
        &format!("kubectl delete validatingadmissionpolicybinding {FULLNAME}-asked-must-be-injected"),
    ] {
        assert!(notes.contains(line), "{line}: {notes}");
    }
    assert!(!notes.contains("Mind:"), "the defaults are nothing to mind: {notes}");
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn the_notes_tell_what_is_worth_minding() {
    for (values, words) in [
        ("replicas: 1", "There is one replica"),
        ("webhook: {port: 8443}", "firewall rule"),
        ("webhook: {hostNetwork: true}", "ports 10260 and 10261"),
        ("certificates: {mode: certManager}", "does not serve cert-manager.io/v1"),
        ("policies: {guardWebhookConfiguration: off}", "guardWebhookConfiguration is off"),
        (
            "webhook: {failurePolicy: Ignore}\npolicies: {askedMustBeInjected: warn}",
            "start without their secrets",
        ),
        ("priorityClass: {create: false, name: system-cluster-critical}", "ResourceQuota"),
    ] {
        let notes = notes(values);
        let minded = notes.split_once("Mind:").unwrap_or_else(|| panic!("{values}: {notes}")).1;
        assert!(minded.contains(words), "{values}: {minded}");
    }
}
