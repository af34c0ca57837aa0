//! Codes of the cluster around the webhook, for the platform team: its API server, and the certificates that the
//! webhook keeps there by itself.

super::codes! {
    NOT_CONFIGURED = "ESC950" {
        title: "The API server is not known",
        cause: "--kubernetes auto looks for a kubeconfig (KUBECONFIG, ~/.kube/config) and for the ServiceAccount that every pod of a cluster has. Neither is there, or it can't be read.",
        fix: "In a cluster, set automountServiceAccountToken to true on the webhook's pod. Elsewhere set KUBECONFIG, or pass --kubernetes off: certificates then come from files, and the defaults of namespaces are unknown.",
        example: "esc-injector webhook --kubernetes off --tls-cert tls.crt --tls-key tls.key",
    }
    UNREACHABLE = "ESC951" {
        title: "The API server can't be reached",
        cause: "It does not answer, or answers that it can't serve now. A webhook that was ready goes on serving with what it has, and tries again.",
        fix: "Nothing, while the API server is restarted. If it stays, look for a NetworkPolicy that keeps the webhook's pods from the API server, and at its address in the log.",
        example: "kubectl -n esc-injector get networkpolicy",
    }
    FORBIDDEN = "ESC952" {
        title: "The API server does not allow it",
        cause: "The webhook's ServiceAccount lacks a right that the chart gives it, or its token is not accepted.",
        fix: "Compare the Role and ClusterRole with the chart's, and their bindings with the ServiceAccount's name and namespace. The message names the verb and the resource.",
        example: "kubectl auth can-i update secret/esc-injector-ca -n esc-injector --as system:serviceaccount:esc-injector:esc-injector",
    }
    UNEXPECTED_ANSWER = "ESC953" {
        title: "The API server answered something unexpected",
        cause: "The call failed in a way that has no better name, such as an admission policy or another webhook that refuses our change, or etcd without a leader.",
        fix: "Read the API server's words in the message. It is tried again.",
        example: "",
    }
    SELF_NEEDS_CLUSTER = "ESC954" {
        title: "There is nowhere to keep the certificate authority",
        cause: "Without --tls-cert and --tls-key the webhook makes its certificates itself, and keeps their authority in a Secret; --kubernetes off takes the Secret away.",
        fix: "Pass --tls-cert and --tls-key, or leave --kubernetes at auto.",
        example: "esc-injector webhook --kubernetes off --tls-cert tls.crt --tls-key tls.key",
    }
    CA_SECRET_MISSING = "ESC960" {
        title: "The Secret of the certificate authority does not exist",
        cause: "The webhook keeps its certificate authority in a Secret that the chart creates empty. It is not there, or the webhook looks in another namespace or for another name. A webhook that is ready serves on without it.",
        fix: "Create it empty, or correct --ca-secret and --own-namespace. The webhook fills it: with the authority that it knows, or with a new one. It may not create it.",
        example: "kubectl -n esc-injector create secret generic esc-injector-ca",
    }
    CA_SECRET_DAMAGED = "ESC961" {
        title: "The Secret of the certificate authority holds something else",
        cause: "Its ca.crt and ca.key are not a pair that esc-injector made, and no replica that runs remembers what was there before. The Secret is left as it is, since what it holds may be of use to somebody.",
        fix: "Take its data away; the webhook makes a new authority and publishes it. To use an authority of your own, give certificates by --tls-cert and --tls-key instead.",
        example: "kubectl -n esc-injector patch secret esc-injector-ca --type=json -p '[{\"op\": \"remove\", \"path\": \"/data\"}]'",
    }
    CA_SECRET_RESTORED = "ESC962" {
        title: "The Secret of the certificate authority was put back",
        cause: "Somebody emptied or damaged the Secret. A replica that knew the authority wrote it back; no admission failed for it.",
        fix: "Find out what did it (the audit log knows), or it will happen again. A tool that applies the Secret must leave its data alone.",
        example: "",
    }
    CA_ENDED = "ESC963" {
        title: "The certificate authority had ended",
        cause: "The authority in the Secret was past its end, so no replica can have renewed it in its last year: the webhook did not run, or could not write. A new one was made at once; admissions failed until the API server had it.",
        fix: "Nothing now. Watch esc_injector_certificate_sync_stale_seconds.",
        example: "",
    }
    CONFIGURATION_MISSING = "ESC964" {
        title: "A webhook configuration does not exist",
        cause: "The webhook puts its caBundle into a MutatingWebhookConfiguration and a ValidatingWebhookConfiguration of one name. One of them is not there, perhaps not yet. Without the first the webhook waits, unready if it has just started; without the second it goes on, and workloads are not checked.",
        fix: "Install the chart whole, or correct --webhook-configuration.",
        example: "kubectl get mutatingwebhookconfiguration,validatingwebhookconfiguration esc-injector",
    }
    CONFIGURATION_FOREIGN = "ESC965" {
        title: "A webhook configuration has none of our entries",
        cause: "There is a webhook configuration of the right name, but none of its entries has a name that the webhook knows, and it changes no others.",
        fix: "Correct --webhook-configuration, or restore the entries of the chart: their names are fixed.",
        example: "kubectl get mutatingwebhookconfiguration esc-injector -o jsonpath='{.webhooks[*].name}'",
    }
    BUNDLE_OVERWRITTEN = "ESC966" {
        title: "Something overwrites the caBundle",
        cause: "The caBundle of our entries was right, and something else changed it; the message names the field manager that wrote last. It was put back at once; if it happens over and over, ever more slowly, and admissions fail meanwhile.",
        fix: "Take caBundle out of what that tool applies, or tell it to leave the field alone: the chart renders none. In Argo CD, ignoreDifferences with RespectIgnoreDifferences.",
        example: "kubectl get mutatingwebhookconfiguration esc-injector -o yaml --show-managed-fields",
    }
    CERTIFICATE_NOT_MADE = "ESC967" {
        title: "A certificate could not be made",
        cause: "The library that makes certificates refused: most likely the name of the Service or the namespace is no name that a certificate can carry.",
        fix: "Correct --service-name and --own-namespace.",
        example: "",
    }
    CLOCK_APART = "ESC968" {
        title: "The machine's clock is not the API server's",
        cause: "They are more than 30 seconds apart. Certificates are judged by the API server's clock, so that is used for them.",
        fix: "Look at time synchronisation on the node. Tokens and logs suffer as well.",
        example: "",
    }
}
