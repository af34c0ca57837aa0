//! Codes of the admission itself, for the platform team: what reaches the webhook, what it serves with, and its own
//! defects.

super::codes! {
    UNREADABLE = "ESC901" {
        title: "The body is no admission review",
        cause: "The request's body is not JSON, or has no request.uid that an answer could carry. The API server never sends such a body: something else posted it, or it was cut off on the way.",
        fix: "Find out what sends it (the log names the peer's address); if it is the API server, look for a proxy in between that changes bodies.",
        example: "",
    }
    MALFORMED = "ESC902" {
        title: "The admission review is malformed",
        cause: "The review has a uid, but not the apiVersion, kind, resource, namespace or object that admission.k8s.io/v1 requires.",
        fix: "List only `v1` in the webhook configuration's admissionReviewVersions, and compare it with the one in docs/operations.md.",
        example: "admissionReviewVersions: [\"v1\"]",
    }
    TOO_LARGE = "ESC903" {
        title: "The admission review is too large",
        cause: "The request's body is over 8 MiB, or holds over 400,000 values. The API server itself accepts objects of up to 3 MiB.",
        fix: "Make the pod smaller; if the pod is small, find out what else posts to the webhook.",
        example: "",
    }
    TOO_SLOW = "ESC904" {
        title: "The admission review did not arrive in time",
        cause: "The whole request was not there, or its turn did not come, within 90 % of the review's own timeout.",
        fix: "Look for a slow or lossy network between the API server and the webhook, and for a webhook that is short of CPU.",
        example: "kubectl -n esc-injector top pods",
    }
    NOT_SERVED = "ESC905" {
        title: "The webhook does not serve this request",
        cause: "It answers POST with content type application/json, uncompressed, on /mutate and /mutate/all, and nothing else on its TLS port; health and metrics have a port of their own.",
        fix: "Correct clientConfig.service.path in the webhook configuration, or the address of the probe.",
        example: "clientConfig: {service: {path: /mutate}}",
    }
    PATCH_DOES_NOT_APPLY = "ESC910" {
        title: "The webhook's own patch does not apply",
        cause: "A defect of esc-injector: the patch that it made for this pod failed when it was tried before sending.",
        fix: "Report it with the output of `esc-injector inject --patch` for this pod; set the annotation `esc.pulumi.com/inject` to \"false\" to run the pod without secrets meanwhile.",
        example: "metadata:\n  annotations:\n    esc.pulumi.com/inject: \"false\"",
    }
    INTERNAL = "ESC911" {
        title: "The webhook failed while it answered",
        cause: "A defect of esc-injector. The log names the place in the code, never the pod.",
        fix: "Report it with the log line; other pods are not affected.",
        example: "",
    }
    NOT_A_POD_CREATION = "ESC920" {
        title: "The webhook was called for something other than the creation of a pod",
        cause: "A webhook configuration sends other resources or operations here. They are let through unchanged.",
        fix: "Restrict the rule to the creation of pods.",
        example: "rules: [{apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE], resources: [pods]}]",
    }
    BAD_CERTIFICATE = "ESC930" {
        title: "The serving certificate can't be used",
        cause: "The certificate or key file is missing, unreadable or no PEM, or the key does not belong to the certificate.",
        fix: "Give --tls-cert the certificate chain, leaf first, and --tls-key its key, both PEM and unencrypted.",
        example: "openssl x509 -noout -pubkey -in tls.crt; openssl pkey -pubout -in tls.key",
    }
    STALE_CERTIFICATE = "ESC931" {
        title: "The certificate files changed, but can't be used",
        cause: "A changed certificate and key were found, and don't fit together or can't be read. The former pair stays in use and the files are read again every few seconds.",
        fix: "Nothing, if it goes away at the next reading: the files were being replaced. Otherwise correct the Secret before the former certificate expires.",
        example: "kubectl -n esc-injector get secret esc-injector-tls -o jsonpath='{.data.tls\\.crt}' | base64 -d | openssl x509 -noout -dates",
    }
    CANNOT_LISTEN = "ESC932" {
        title: "The address can't be listened on",
        cause: "Another process has the port, the address is not this machine's, or the port is below 1024 and the user may not use it.",
        fix: "Choose another --listen or --health-listen.",
        example: "esc-injector webhook --listen 0.0.0.0:10260",
    }
    CERTIFICATE_REFUSED = "ESC933" {
        title: "The client refused the serving certificate",
        cause: "The API server does not trust the certificate: the webhook configuration's caBundle is not its issuer's, its names don't include SERVICE.NAMESPACE.svc, or it has expired.",
        fix: "Put the issuer's certificate into caBundle, and the service's name into the certificate.",
        example: "",
    }
    NAMESPACE_UNKNOWN = "ESC941" {
        title: "The namespace is not known yet",
        cause: "The pod asks for injection, and its namespace, whose annotations hold defaults and limits, has not reached the webhook: it was created a moment ago, or the webhook can't follow namespaces.",
        fix: "Nothing, if it goes away within seconds: kubectl and controllers try again by themselves. Otherwise look at the metric esc_injector_namespace_watch_stale_seconds and the webhook's log for ESC942.",
        example: "",
    }
    NAMESPACES_UNWATCHED = "ESC942" {
        title: "Namespaces can't be followed",
        cause: "The watch on namespaces failed: the API server is away, or does not allow it. The webhook goes on with what it knows, and tries again with growing waits of up to 30 seconds. Until it succeeds, pods that ask are refused in namespaces created since (ESC941), and changed defaults and limits don't hold yet.",
        fix: "Nothing, if the API server was restarted. If the message says forbidden, give the webhook's ServiceAccount the right to list and watch namespaces, as the chart does.",
        example: "kubectl auth can-i watch namespaces --as system:serviceaccount:esc-injector:esc-injector",
    }
}
