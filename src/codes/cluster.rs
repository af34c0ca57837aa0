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
}
