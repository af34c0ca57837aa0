//! What the webhook may do in the cluster.

use insta::assert_snapshot;
use serde_json::Value;

use crate::{
    helm::render,
    objects::{FULLNAME, Objects, text_at},
};

/// One line for each rule: where, what, on which names, to do what.
fn rights(objects: &Objects) -> String {
    let mut lines = Vec::new();
    for object in &objects.0 {
        let kind = object["kind"].as_str().unwrap();
        let name = format!(
            "{kind} {} {}",
            text_at(object, "/metadata/name"),
            text_at(object, "/metadata/namespace")
        );
        let list = |value: &Value| {
            value.as_array().map_or_else(
                || "*".to_owned(),
                |items| items.iter().map(|item| item.as_str().unwrap()).collect::<Vec<_>>().join(","),
            )
        };
        match kind {
            "Role" | "ClusterRole" => {
                for rule in object["rules"].as_array().unwrap() {
                    let (resources, verbs) = (list(&rule["resources"]), list(&rule["verbs"]));
                    lines.push(format!("{name}: {resources} [{}] {verbs}", list(&rule["resourceNames"])));
                }
            }
            "RoleBinding" | "ClusterRoleBinding" => {
                let (role, subjects) = (&object["roleRef"], object["subjects"].as_array().unwrap());
                for subject in subjects {
                    lines.push(format!(
                        "{name}: {} {} for {} {}/{}",
                        text_at(role, "/kind"),
                        text_at(role, "/name"),
                        text_at(subject, "/kind"),
                        text_at(subject, "/namespace"),
                        text_at(subject, "/name"),
                    ));
                }
            }
            _ => {}
        }
    }
    lines.join("\n")
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn rights_are_as_recorded() {
    assert_snapshot!("self", rights(&render("{}")));
    assert_snapshot!("cert_manager", rights(&render("certificates: {mode: certManager}")));
    assert_snapshot!("test_namespace", rights(&render("test: {namespace: shop}")));
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn modes_with_files_get_no_secret_and_no_webhook_configuration() {
    let secret = "certificates: {mode: secret, secretName: a, caBundle: '-----BEGIN CERTIFICATE-----'}";
    for values in [secret, "certificates: {mode: certManager}"] {
        let objects = render(values);
        let role = objects.one("ClusterRole")["rules"].to_string();
        assert!(!role.contains("webhookconfigurations") && !role.contains("secrets"), "{values}: {role}");
        assert!(objects.find("Role", FULLNAME).is_none(), "{values}");
    }
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn the_ca_secret_is_shipped_empty() {
    let objects = render("{}");
    let secret = objects.find("Secret", &format!("{FULLNAME}-ca")).unwrap();
    assert_eq!(secret["type"], "Opaque");
    assert!(secret.get("data").is_none() && secret.get("stringData").is_none());
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn tokens_are_mounted_where_they_are_needed_only() {
    let objects = render("{}");
    for account in objects.0.iter().filter(|object| object["kind"] == "ServiceAccount") {
        assert_eq!(account["automountServiceAccountToken"], false);
    }
    assert_eq!(objects.pod()["spec"]["automountServiceAccountToken"], true);
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn what_the_test_is_given_goes_with_it() {
    let objects = render("test: {namespace: shop}");
    let hooks: Vec<_> = objects
        .0
        .iter()
        .filter(|object| text_at(object, "/metadata/name") == format!("{FULLNAME}-test"))
        .collect();
    assert_eq!(hooks.len(), 6);
    for object in hooks {
        let annotations = &object["metadata"]["annotations"];
        assert_eq!(annotations["helm.sh/hook"], "test");
        let deletion = annotations["helm.sh/hook-delete-policy"].as_str().unwrap();
        assert!(deletion.contains("hook-succeeded"), "{deletion}");
        // A pod that failed is kept for its log.
        assert_eq!(deletion.contains("hook-failed"), object["kind"] != "Pod", "{}", object["kind"]);
        // The Service must not lead to the test's pod.
        assert_ne!(object["metadata"]["labels"]["app.kubernetes.io/name"], "esc-injector");
    }
}
